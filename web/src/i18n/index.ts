// Translations: every area has a file for each language; keys are `area.name`. English is complete, and so is Chinese.

import i18next, { type TFunction } from "i18next";
import { initReactI18next } from "react-i18next";
import { merged, type Words } from "./words";

const english = import.meta.glob<Words>("./en/*.ts", { eager: true, import: "words" });

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;

void i18next.use(initReactI18next).init({
  lng: "en",
  fallbackLng: "en",
  keySeparator: false,
  nsSeparator: false,
  interpolation: { escapeValue: false }, // React escapes
  resources: { en: { translation: merged(english) } },
});

/** Speak another language; its words are loaded first. If they cannot be, the page stays in the one it speaks. */
export async function setLanguage(language: Language): Promise<void> {
  if (language === i18next.language) return;
  if (language !== "en" && !i18next.hasResourceBundle(language, "translation")) {
    const { words } = await import("./zh");
    i18next.addResourceBundle(language, "translation", words);
  }
  await i18next.changeLanguage(language);
}

export const t: TFunction = i18next.t.bind(i18next) as TFunction;
