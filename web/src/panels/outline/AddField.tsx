// A node by its name, without the canvas: type, choose with the arrow keys, Enter.

import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { search } from "../../model/edit/search";
import type { NodeType } from "../../model/types";
import { useWorkspace } from "../../state/context";

const MOST = 8;

interface Props {
  readonly onAdd: (type: NodeType) => void;
}

export function AddField({ onAdd }: Props): React.JSX.Element {
  const { t } = useTranslation();
  const id = useId();
  const types = useWorkspace((state) => state.types);
  const [query, setQuery] = useState("");
  const [place, setPlace] = useState(0);
  const found = query.trim() === "" ? [] : search(types.values(), query).slice(0, MOST).map(({ type }) => type);
  const at = Math.min(place, found.length - 1);
  const add = (type: NodeType | undefined): void => {
    if (type === undefined) return;
    setQuery("");
    onAdd(type);
  };
  const keys = (event: React.KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter") add(found[at]);
    else if (event.key === "Escape" && query !== "") setQuery("");
    else if (step !== undefined && found.length > 0) setPlace((at + step + found.length) % found.length);
    else return;
    event.preventDefault();
  };
  return (
    <div className="outline-add">
      <input
        className="text-field"
        type="text"
        role="combobox"
        data-outline-add
        aria-label={t("outline.add")}
        aria-expanded={found.length > 0}
        aria-controls={id}
        aria-autocomplete="list"
        {...(found.length > 0 ? { "aria-activedescendant": `${id}-${at}` } : {})}
        placeholder={t("outline.addPlaceholder")}
        autoComplete="off"
        spellCheck={false}
        value={query}
        onChange={(event) => {
          setQuery(event.target.value);
          setPlace(0);
        }}
        onKeyDown={keys}
      />
      <ul id={id} role="listbox" aria-label={t("outline.add")} hidden={found.length === 0}>
        {found.map((type, number) => (
          <li key={type.name} id={`${id}-${number}`} role="option" aria-selected={number === at} onPointerDown={(event) => event.preventDefault()} onClick={() => add(type)}>
            {type.title} <small>{type.category}</small>
          </li>
        ))}
      </ul>
    </div>
  );
}
