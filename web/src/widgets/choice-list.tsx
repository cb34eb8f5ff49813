// The list inside a choice's popover: search on top, below it a tree or what was found. Only rows in sight are mounted.

import { useVirtualizer } from "@tanstack/react-virtual";
import { Check, ChevronDown, ChevronRight, Search } from "lucide-react";
import { useId, useMemo, useRef, useState } from "react";
import type { Json } from "../model/json";
import { t } from "../i18n";
import { foldersOf, isSame, searchRows, treeRows, type Row } from "./choice-tree";

const ROW = 24;
const MAX_ROWS = 14;

interface ChoiceListProps {
  readonly label: string;
  readonly options: readonly Json[];
  /** What is chosen; several in a choice of several. */
  readonly chosen: readonly Json[];
  readonly pick: (value: Json) => void;
  readonly close: () => void;
}

export function ChoiceList({ label, options, chosen, pick, close }: ChoiceListProps): React.JSX.Element {
  const [query, setQuery] = useState("");
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set(chosen.flatMap(foldersOf)));
  const rows = useMemo(
    () => (query.trim() === "" ? treeRows(options, open) : searchRows(options, query)),
    [options, open, query],
  );
  const isChosen = (row: Row): boolean => row.value !== undefined && chosen.some((each) => isSame(each, row.value ?? null));
  const [active, setActive] = useState(() => Math.max(0, rows.findIndex(isChosen)));
  const at = Math.min(active, rows.length - 1);
  const scroller = useRef<HTMLDivElement>(null);
  const id = useId();
  // eslint-disable-next-line react-hooks/incompatible-library -- no compiler memoises here
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 6,
    initialRect: { width: 240, height: ROW * MAX_ROWS },
    initialOffset: Math.max(0, (active - MAX_ROWS / 2) * ROW),
  });

  const go = (place: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, place));
    setActive(next);
    virtual.scrollToIndex(next);
  };
  const toggle = (folder: string, isOpen: boolean): void => {
    const next = new Set(open);
    if (isOpen) next.add(folder);
    else next.delete(folder);
    setOpen(next);
  };
  const choose = (row: Row | undefined): void => {
    if (row?.kind === "folder") toggle(row.id, row.isOpen !== true);
    else if (row?.value !== undefined) pick(row.value);
  };
  const sideways = (row: Row | undefined, right: boolean): boolean => {
    if (query !== "" || row?.kind !== "folder" || row.isOpen === right) return false;
    toggle(row.id, right);
    return true;
  };
  const pressed = (key: string): boolean => {
    const far = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + MAX_ROWS, PageUp: at - MAX_ROWS }[key];
    if (far !== undefined) go(far);
    else if (key === "Enter") choose(rows[at]);
    else if (key === "Escape") close();
    else if (key === "ArrowRight" || key === "ArrowLeft") return sideways(rows[at], key === "ArrowRight");
    else return false;
    return true;
  };

  return (
    <>
      <label className="w-search">
        <Search size={13} aria-hidden />
        <input
          autoFocus
          role="combobox"
          aria-expanded
          aria-controls={id}
          aria-activedescendant={rows[at] === undefined ? undefined : `${id}-${String(at)}`}
          aria-label={t("widgets.choice.search", { name: label })}
          placeholder={t("widgets.choice.searchHint", { count: options.length })}
          value={query}
          spellCheck={false}
          onChange={(event) => {
            setQuery(event.target.value);
            setActive(0);
            virtual.scrollToOffset(0);
          }}
          onKeyDown={(event) => {
            if (!pressed(event.key)) return;
            event.preventDefault();
            event.stopPropagation();
          }}
        />
      </label>
      <div
        ref={scroller}
        className="w-options"
        role="listbox"
        id={id}
        aria-label={label}
        style={{ height: Math.min(MAX_ROWS, Math.max(1, rows.length)) * ROW }}
      >
        {rows.length === 0 && <p className="w-nothing">{t("widgets.choice.nothing")}</p>}
        <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            if (row === undefined) return null;
            return (
              <Option
                key={item.key}
                id={`${id}-${String(item.index)}`}
                row={row}
                top={item.start}
                isActive={item.index === at}
                isChosen={isChosen(row)}
                over={() => setActive(item.index)}
                choose={() => choose(row)}
              />
            );
          })}
        </div>
      </div>
    </>
  );
}

interface OptionProps {
  readonly id: string;
  readonly row: Row;
  readonly top: number;
  readonly isActive: boolean;
  readonly isChosen: boolean;
  readonly over: () => void;
  readonly choose: () => void;
}

function Option({ id, row, top, isActive, isChosen, over, choose }: OptionProps): React.JSX.Element {
  const Fold = row.isOpen === true ? ChevronDown : ChevronRight;
  return (
    // The keys are those of the search field, which keeps the focus.
    <div
      id={id}
      role="option"
      aria-selected={isChosen}
      aria-expanded={row.kind === "folder" ? row.isOpen === true : undefined}
      aria-label={row.kind === "folder" ? t("widgets.choice.folder", { name: row.label }) : undefined}
      className={`w-option${isActive ? " is-active" : ""}${isChosen ? " is-chosen" : ""}`}
      style={{ transform: `translateY(${String(top)}px)`, paddingLeft: 6 + row.depth * 14 }}
      title={row.path + row.label}
      onPointerMove={over}
      onPointerDown={(event) => event.preventDefault()}
      onClick={choose}
    >
      <span className="w-option-mark">
        {row.kind === "folder" ? <Fold size={12} aria-hidden /> : isChosen ? <Check size={12} aria-hidden /> : null}
      </span>
      <span className="w-option-text">
        {row.path !== "" && <span className="w-option-path">{row.path}</span>}
        {row.label}
      </span>
      {row.count !== undefined && <span className="w-option-count">{row.count}</span>}
    </div>
  );
}
