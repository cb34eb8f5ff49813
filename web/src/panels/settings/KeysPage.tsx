// Keys of every command: press the new one to take it; two commands on one key are shown; export and import.

import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Command } from "../../commands/command";
import { chordOf, conflicts, keysOf, ownersOf, readBindings, rebound, showChord, writeBindings, type Bindings } from "../../commands/keys";
import { download } from "../../commands/fileService";
import { messageOf, notify } from "../../commands/notify";
import { rank } from "../../commands/rank";
import { useSetting, useSettingsStore } from "../../state/editor";
import { useEditor } from "../shell/editor";

export function KeysPage(): React.JSX.Element {
  const { t } = useTranslation();
  const { table, ui, dispatch } = useEditor();
  const store = useSettingsStore();
  const bindings = useSetting("keys");
  const [query, setQuery] = useState("");
  const set = (keys: Bindings): void => store.getState().set("keys", keys);
  /** Give a command a chord; if it is another's already, ask whose it is to be. */
  const take = async (command: Command, chord: string): Promise<void> => {
    const owners = ownersOf(table, bindings, chord, command.id);
    if (owners.length === 0) return set(rebound(table, bindings, command.id, chord));
    const answer = await ui.getState().ask({
      title: t("keys.takenAsk", { key: showChord(chord, dispatch.mac), names: owners.map((other) => t(`command.${other.id}`)).join(", ") }),
      text: t("keys.takenHelp"),
      actions: [
        { id: "take", label: t("keys.take"), tone: "primary" },
        { id: "share", label: t("keys.share") },
      ],
    });
    if (answer !== undefined) set(rebound(table, bindings, command.id, chord, answer.action === "take" ? owners : []));
  };
  const clashes = conflicts(table, bindings);
  const found = rank(query, table, (command) => ({ name: t(`command.${command.id}`), also: keysOf(command, bindings) }));
  return (
    <div className="keys">
      <input
        className="text-field"
        type="search"
        value={query}
        placeholder={t("keys.search")}
        aria-label={t("keys.search")}
        onChange={(event) => setQuery(event.target.value)}
      />
      <div className="keys-actions">
        <button type="button" className="button" onClick={() => download("easel-keys.json", writeBindings(table, bindings))}>
          {t("keys.export")}
        </button>
        <ImportButton onRead={set} />
        <button type="button" className="button" disabled={Object.keys(bindings).length === 0} onClick={() => set({})}>
          {t("keys.reset")}
        </button>
      </div>
      <p className="hint">{t("keys.hint")}</p>
      <ul>
        {found.map((command) => (
          <KeyRow
            key={command.id}
            command={command}
            bindings={bindings}
            clashes={clashes}
            onTake={(chord) => void take(command, chord)}
            onClear={() => set({ ...bindings, [command.id]: [] })}
          />
        ))}
      </ul>
    </div>
  );
}

interface RowProps {
  readonly command: Command;
  readonly bindings: Bindings;
  readonly clashes: ReadonlyMap<string, readonly Command[]>;
  readonly onTake: (chord: string) => void;
  readonly onClear: () => void;
}

function KeyRow({ command, bindings, clashes, onTake, onClear }: RowProps): React.JSX.Element {
  const { t } = useTranslation();
  const { dispatch } = useEditor();
  const [listening, setListening] = useState(false);
  const chords = keysOf(command, bindings);
  const others = chords.flatMap((chord) => (clashes.get(chord) ?? []).filter((other) => other.id !== command.id));
  const take = (event: React.KeyboardEvent): void => {
    if (!listening) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") return setListening(false);
    const chord = chordOf(event.nativeEvent, dispatch.mac);
    if (chord === undefined) return;
    setListening(false);
    if (event.key === "Backspace" && !event.ctrlKey && !event.metaKey) onClear();
    else onTake(chord);
  };
  const title = t(`command.${command.id}`);
  return (
    <li>
      <span>
        {title}
        {others.length > 0 && (
          <small className="warn">{t("keys.conflict", { names: others.map((other) => t(`command.${other.id}`)).join(", ") })}</small>
        )}
      </span>
      <button
        type="button"
        className="key-button"
        data-keys="own"
        data-changed={bindings[command.id] !== undefined}
        aria-pressed={listening}
        onClick={() => setListening(!listening)}
        onKeyDown={take}
        onBlur={() => setListening(false)}
      >
        <span className="hidden-text">{t("keys.change", { name: title })} </span>
        {listening ? t("keys.press") : chords.length === 0 ? t("keys.none") : chords.map((chord) => <kbd key={chord}>{showChord(chord, dispatch.mac)}</kbd>)}
      </button>
    </li>
  );
}

function ImportButton({ onRead }: { readonly onRead: (bindings: Bindings) => void }): React.JSX.Element {
  const { t } = useTranslation();
  const { table } = useEditor();
  const input = useRef<HTMLInputElement>(null);
  const read = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    try {
      onRead(readBindings(await file.text(), table));
      notify(t("keys.imported"), { tone: "good" });
    } catch (error) {
      notify(t("keys.cannotImport"), { tone: "error", details: messageOf(error) });
    }
  };
  return (
    <>
      <button type="button" className="button" onClick={() => input.current?.click()}>
        {t("keys.import")}
      </button>
      <input ref={input} type="file" accept=".json" hidden aria-label={t("keys.import")} onChange={(event) => void read(event.target.files?.[0])} />
    </>
  );
}
