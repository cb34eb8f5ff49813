// Settings, searchable; the keys are a page of their own.

import { useState } from "react";
import { useTranslation } from "react-i18next";
import { score } from "../../commands/rank";
import { useSettingsStore, useUi } from "../../state/editor";
import { useStore } from "zustand";
import { CHOICES, FONT_SIZES, type Settings } from "../../state/settings";
import { KeysPage } from "./KeysPage";
import "./settings.css";

type Choice = keyof typeof CHOICES;
type Switch = "grid" | "snap" | "minimap" | "notifications" | "openForms";
type Entry = { readonly name: Choice | Switch | "fontSize" };

const SECTIONS: readonly { readonly name: string; readonly entries: readonly Entry["name"][] }[] = [
  { name: "look", entries: ["theme", "density", "fontSize", "language"] },
  { name: "access", entries: ["motion"] },
  { name: "canvas", entries: ["navigation", "grid", "snap", "minimap", "linkStyle"] },
  { name: "run", entries: ["preview", "afterRun", "notifications"] },
  { name: "files", entries: ["openForms"] },
];

export function SettingsPanel(): React.JSX.Element {
  const { t } = useTranslation();
  const page = useUi((state) => state.page);
  const show = useUi((state) => state.show);
  const [query, setQuery] = useState("");
  const settings = useSettingsStore();
  const fits = (name: string): boolean =>
    query === "" || score(query, { name: t(`settings.${name}`), also: [t(`settings.${name}.help`), name] }) > 0;
  return (
    <div className="settings">
      <div className="pages" role="group" aria-label={t("panel.settings")}>
        {["general", "keys"].map((name) => (
          <button key={name} type="button" aria-pressed={(page || "general") === name} onClick={() => show("settings", name)}>
            {t(`settings.page.${name}`)}
          </button>
        ))}
      </div>
      {page === "keys" ? (
        <KeysPage />
      ) : (
        <>
          <input
            className="text-field"
            type="search"
            value={query}
            placeholder={t("settings.search")}
            aria-label={t("settings.search")}
            onChange={(event) => setQuery(event.target.value)}
          />
          {SECTIONS.map((section) => {
            const entries = section.entries.filter(fits);
            return entries.length === 0 ? null : (
              <section key={section.name} aria-labelledby={`settings-${section.name}`}>
                <h3 id={`settings-${section.name}`}>{t(`settings.section.${section.name}`)}</h3>
                {entries.map((name) => (
                  <SettingRow key={name} name={name} />
                ))}
              </section>
            );
          })}
          <button type="button" className="button" onClick={() => settings.getState().reset()}>
            {t("settings.reset")}
          </button>
        </>
      )}
    </div>
  );
}

function SettingRow({ name }: Entry): React.JSX.Element {
  const { t, i18n } = useTranslation();
  const help = i18n.exists(`settings.${name}.help`) ? t(`settings.${name}.help`) : undefined;
  return (
    <div className="setting">
      <label htmlFor={`setting-${name}`}>
        {t(`settings.${name}`)}
        {help !== undefined && <small>{help}</small>}
      </label>
      {name === "fontSize" ? <FontSize /> : name in CHOICES ? <ChoiceField name={name as Choice} /> : <SwitchField name={name as Switch} />}
    </div>
  );
}

function useValue<K extends keyof Settings>(name: K): [Settings[K], (value: Settings[K]) => void] {
  const store = useSettingsStore();
  return [useStore(store, (state) => state.values[name]), (value) => store.getState().set(name, value)];
}

function ChoiceField({ name }: { readonly name: Choice }): React.JSX.Element {
  const { t } = useTranslation();
  const [value, set] = useValue(name);
  return (
    <select id={`setting-${name}`} className="text-field" value={value} onChange={(event) => set(event.target.value as typeof value)}>
      {CHOICES[name].map((choice) => (
        <option key={choice} value={choice}>
          {t(`settings.${name}.${choice}`)}
        </option>
      ))}
    </select>
  );
}

function SwitchField({ name }: { readonly name: Switch }): React.JSX.Element {
  const [value, set] = useValue(name);
  const change = async (on: boolean): Promise<void> => {
    // The browser asks only upon a click, so it is asked here and not at the end of a run.
    if (name === "notifications" && on && "Notification" in window) await Notification.requestPermission();
    set(on);
  };
  return (
    <input id={`setting-${name}`} className="switch" type="checkbox" role="switch" checked={value} onChange={(event) => void change(event.target.checked)} />
  );
}

function FontSize(): React.JSX.Element {
  const [value, set] = useValue("fontSize");
  return (
    <span className="font-size">
      <input id="setting-fontSize" type="range" min={FONT_SIZES.min} max={FONT_SIZES.max} step={1} value={value} onChange={(event) => set(event.target.valueAsNumber)} />
      <output htmlFor="setting-fontSize">{value} px</output>
    </span>
  );
}
