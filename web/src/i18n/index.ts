// Translations: every area has a file for each language; keys are `area.name`. English is complete, and so is Chinese.

import i18next, { type TFunction } from "i18next";
import { initReactI18next } from "react-i18next";

type Words = Readonly<Record<string, string>>;
const english = import.meta.glob<Words>("./en/*.ts", { eager: true, import: "words" });
const chinese = import.meta.glob<Words>("./zh/*.ts", { eager: true, import: "words" });

const merged = (files: Record<string, Words>): Words => Object.assign({}, ...Object.values(files)) as Words;

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;

void i18next.use(initReactI18next).init({
  lng: "en",
  fallbackLng: "en",
  keySeparator: false,
  nsSeparator: false,
  interpolation: { escapeValue: false }, // React escapes
  resources: { en: { translation: merged(english) }, zh: { translation: merged(chinese) } },
});

export const setLanguage = (language: Language): void => {
  void i18next.changeLanguage(language);
};

export const t: TFunction = i18next.t.bind(i18next) as TFunction;
