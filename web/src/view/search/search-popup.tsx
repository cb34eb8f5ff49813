// The search for nodes at a place of the canvas. What a link was dropped from filters it, as a mark that can be taken away.

import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { readQuery, search } from "../../model/edit/search";
import { inputsOf } from "../../model/inputs";
import type { NodeType } from "../../model/types";
import { useWorkspace } from "../../state/context";
import { useController } from "../controller-context";
import { useView } from "../context";
import { typeColor } from "../look";
import type { SearchAt } from "../view-store";
import "./search.css";

const WIDTH = 520;
const HEIGHT = 380;

export function SearchPopup(): React.JSX.Element | null {
  const at = useView((view) => view.search);
  if (at === undefined) return null;
  return <Popup key={`${at.place.x},${at.place.y}`} at={at} />;
}

function Popup({ at }: { readonly at: SearchAt }): React.JSX.Element {
  const { t } = useTranslation();
  const controller = useController();
  const types = useWorkspace((state) => state.types);
  const [filter, setFilter] = useState(at.filter.trim());
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const found = useMemo(() => search(types.values(), `${filter} ${text}`, controller.uses()).map(({ type }) => type), [types, filter, text, controller]);
  const chosen = found[Math.min(active, found.length - 1)];
  const close = (): void => {
    controller.view.getState().set({ search: undefined });
    document.querySelector<HTMLElement>(".canvas-flow")?.focus({ preventScroll: true });
  };
  const add = (type: NodeType | undefined): void => {
    if (type === undefined) return;
    controller.addFound(type);
    document.querySelector<HTMLElement>(".canvas-flow")?.focus({ preventScroll: true });
  };
  const pressed = (event: React.KeyboardEvent): void => {
    event.stopPropagation();
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = Math.max(0, Math.min(found.length - 1, active + step));
      setActive(next);
      document.getElementById(`s-${next}`)?.scrollIntoView({ block: "nearest" });
    }
    if (event.key === "Enter" && !event.nativeEvent.isComposing) add(chosen);
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      close();
    }
    if (event.key === "Backspace" && text === "") setFilter("");
  };
  return (
    <div className="s-popup c-over" style={placed(at, controller.camera.bounds())} role="dialog" aria-label={t("view.search")} onPointerDown={(event) => event.stopPropagation()}>
      <div className="s-line">
        {filter !== "" && <Filter filter={filter} remove={() => setFilter("")} />}
        <input
          className="s-field"
          autoFocus
          value={text}
          placeholder={t("view.search.hint")}
          aria-label={t("view.search")}
          role="combobox"
          aria-expanded
          aria-controls="s-list"
          aria-activedescendant={chosen === undefined ? undefined : `s-${found.indexOf(chosen)}`}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => {
            setText(event.target.value);
            setActive(0);
          }}
          onKeyDown={pressed}
          onBlur={(event) => {
            if (!(event.relatedTarget instanceof Element && event.relatedTarget.closest(".s-popup"))) controller.view.getState().set({ search: undefined });
          }}
        />
      </div>
      <div className="s-both">
        <ul className="s-list" id="s-list" role="listbox" aria-label={t("view.search.results")}>
          {found.map((type, place) => (
            <Row key={type.name} type={type} place={place} isActive={type === chosen} activate={setActive} add={add} />
          ))}
          {found.length === 0 && <li className="s-none">{t("view.search.none")}</li>}
        </ul>
        {chosen !== undefined && <About type={chosen} />}
      </div>
    </div>
  );
}

/** Where it opens, but never beyond the edges of the canvas. */
function placed(at: SearchAt, bounds: DOMRect): { left: number; top: number } {
  return {
    left: Math.max(8, Math.min(at.screen.x, bounds.width - Math.min(WIDTH, bounds.width - 16) - 8)),
    top: Math.max(8, Math.min(at.screen.y, bounds.height - HEIGHT - 8)),
  };
}

function Filter({ filter, remove }: { readonly filter: string; readonly remove: () => void }): React.JSX.Element {
  const { t } = useTranslation();
  const { takes, gives } = readQuery(filter);
  const type = takes[0] ?? gives[0] ?? "";
  return (
    <button type="button" className="s-filter" tabIndex={-1} title={t("view.search.unfilter")} onMouseDown={(event) => event.preventDefault()} onClick={remove}>
      <i style={{ background: typeColor(type) }} />
      {t(takes.length > 0 ? "view.search.takes" : "view.search.gives", { type })}
    </button>
  );
}

interface RowProps {
  readonly type: NodeType;
  readonly place: number;
  readonly isActive: boolean;
  readonly activate: (place: number) => void;
  readonly add: (type: NodeType) => void;
}

function Row({ type, place, isActive, activate, add }: RowProps): React.JSX.Element {
  return (
    <li
      id={`s-${place}`}
      role="option"
      aria-selected={isActive}
      className="s-row"
      onPointerMove={() => !isActive && activate(place)}
      onMouseDown={(event) => event.preventDefault()}
      onClick={() => add(type)}
    >
      <span className="s-title">{type.title}</span>
      <span className="s-where">{type.category.replaceAll("/", " / ")}</span>
    </li>
  );
}

/** What a type takes, gives and does. */
function About({ type }: { readonly type: NodeType }): React.JSX.Element {
  const { t } = useTranslation();
  const inputs = inputsOf(type, {});
  const sockets = inputs.filter((input) => input.widget === undefined);
  const fields = inputs.filter((input) => input.widget !== undefined);
  return (
    <div className="s-about">
      <strong>{type.title}</strong>
      {type.title !== type.name && <code>{type.name}</code>}
      {type.description !== "" && <p>{type.description}</p>}
      {sockets.length > 0 && <Slots title={t("view.search.inputs")} slots={sockets} />}
      {type.outputs.length > 0 && <Slots title={t("view.search.outputs")} slots={type.outputs} />}
      {fields.length > 0 && <p className="s-fields">{fields.map((input) => input.label ?? input.name).join(", ")}</p>}
      {type.deprecated && <p className="s-old">{t("view.node.deprecated")}</p>}
    </div>
  );
}

function Slots({ title, slots }: { readonly title: string; readonly slots: readonly { readonly name: string; readonly label?: string; readonly type: string }[] }): React.JSX.Element {
  return (
    <ul className="s-slots" aria-label={title}>
      {slots.map((slot, place) => (
        <li key={place}>
          <i style={{ background: typeColor(slot.type) }} />
          {slot.label ?? slot.name} <small>{slot.type === slot.name ? "" : slot.type}</small>
        </li>
      ))}
    </ul>
  );
}
