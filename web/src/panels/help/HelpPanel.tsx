// Every command with its keys, by group; searchable. The same table as everywhere.

import { useState } from "react";
import { useTranslation } from "react-i18next";
import { rank } from "../../commands/rank";
import { GROUPS } from "../../commands/table";
import { useEditor } from "../shell/editor";
import { useKeysOf } from "../shell/MenuCommand";
import "./help.css";

export function HelpPanel(): React.JSX.Element {
  const { t } = useTranslation();
  const { table, act } = useEditor();
  const shownKeys = useKeysOf();
  const [query, setQuery] = useState("");
  const found = rank(query, table, (command) => ({
    name: t(`command.${command.id}`),
    also: shownKeys(command),
  }));
  return (
    <div className="help">
      <p className="hint">{t("help.intro")}</p>
      <input
        className="text-field"
        type="search"
        value={query}
        placeholder={t("help.search")}
        aria-label={t("help.search")}
        onChange={(event) => setQuery(event.target.value)}
      />
      {GROUPS.map((group) => {
        const commands = found.filter((command) => command.group === group);
        return commands.length === 0 ? null : (
          <section key={group} aria-labelledby={`help-${group}`}>
            <h3 id={`help-${group}`}>{t(`command.group.${group}`)}</h3>
            <dl>
              {commands.map((command) => (
                <div key={command.id}>
                  <dt>{t(`command.${command.id}`)}</dt>
                  <dd>
                    {shownKeys(command).map((key) => (
                      <kbd key={key}>{key}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        );
      })}
      <section aria-labelledby="help-mouse">
        <h3 id="help-mouse">{t("help.mouse")}</h3>
        <dl>
          {["pan", "zoom", "box", "search", "link", "cut", "copy"].map((name) => (
            <div key={name}>
              <dt>{t(`help.mouse.${name}`)}</dt>
              <dd>{t(`help.mouse.${name}.how`)}</dd>
            </div>
          ))}
        </dl>
      </section>
      <button type="button" className="button" onClick={() => act("help.bindings")}>
        {t("command.help.bindings")}
      </button>
    </div>
  );
}
