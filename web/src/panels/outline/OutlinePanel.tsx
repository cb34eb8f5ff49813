// The graph as a list in execution order that can be read and edited without seeing the canvas: rename, values, links,
// mute, bypass, delete, jump, enter. Arrow keys go through it; what has the focus is selected on the canvas too.

import { ArrowLeft, ChevronRight } from "lucide-react";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { executionOrder } from "../../model/edit/graph";
import { innerOf, instancePath } from "../../model/edit/subgraph";
import type { Mode } from "../../model/document";
import { ROOT, type NodeId } from "../../model/ids";
import type { NodeType } from "../../model/types";
import { rank } from "../../commands/rank";
import { useDocument, useDocumentStore, useErrorsOf, useLevel, useRunOf, useTab, useWorkspace } from "../../state/context";
import { NOTHING_SELECTED } from "../../state/documents";
import { addAtFree } from "../shell/addNode";
import { useEditor } from "../shell/editor";
import { AddField } from "./AddField";
import { OutlineNode } from "./OutlineNode";
import { nameOf } from "./sources";
import "./outline.css";

export function OutlinePanel(): React.JSX.Element {
  const { t } = useTranslation();
  const { act, ui } = useEditor();
  const tab = useTab();
  const store = useDocumentStore();
  const level = useLevel();
  const document = useDocument((state) => state.document);
  const path = useDocument((state) => state.path);
  const types = useWorkspace((state) => state.types);
  const [opened, setOpened] = useState<ReadonlySet<NodeId>>(new Set());
  const [current, setCurrent] = useState<NodeId>();
  const [query, setQuery] = useState("");
  const panel = useRef<HTMLDivElement>(null);

  const ordered = executionOrder(level);
  const shown = query === "" ? ordered : rank(query, ordered, (id) => ({ name: nameOf(level, id, types, document), also: [level.nodes.get(id)?.type ?? ""] }));
  const prefix = instancePath(document, path).map((id) => `${id}:`).join("");
  // One row is in the order of Tab; the arrow keys go on from there.
  const stop = current !== undefined && shown.includes(current) ? current : shown[0];

  const setOpen = (id: NodeId, open: boolean): void => {
    const next = new Set(opened);
    if (open) next.add(id);
    else next.delete(id);
    setOpened(next);
  };
  const select = (id: NodeId): void => {
    setCurrent(id);
    const { selection } = store.getState();
    if (selection.nodes.size === 1 && selection.nodes.has(id)) return;
    store.getState().select({ ...NOTHING_SELECTED, nodes: new Set([id]) });
  };
  const focusRow = (id: NodeId | undefined): void => {
    if (id === undefined) panel.current?.querySelector<HTMLElement>("[data-outline-add]")?.focus();
    else panel.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(id)}"]`)?.focus();
  };
  const remove = (id: NodeId): void => {
    const place = shown.indexOf(id);
    const next = shown[place + 1] ?? shown[place - 1];
    const name = nameOf(level, id, types, document);
    select(id);
    act("edit.delete");
    ui.getState().announce(t("outline.deleted", { name }));
    focusRow(next);
  };
  const add = (type: NodeType): void => {
    const id = addAtFree(tab, type, types);
    setQuery("");
    setOpen(id, true);
    ui.getState().announce(t("outline.added", { name: type.title }));
    requestAnimationFrame(() => focusRow(id));
  };
  const enter = (id: NodeId): void => {
    const inner = innerOf(document, level, id);
    if (inner !== undefined && !path.includes(inner.id)) store.getState().enter(inner.id);
  };
  const keys = (id: NodeId, event: React.KeyboardEvent): void => {
    const step = (by: number) => (): void => {
      const next = shown[shown.indexOf(id) + by];
      if (next !== undefined) focusRow(next);
    };
    const acts: Readonly<Record<string, () => void>> = {
      ArrowDown: step(1),
      ArrowUp: step(-1),
      Home: () => focusRow(shown[0]),
      End: () => focusRow(shown.at(-1)),
      ArrowRight: () => (opened.has(id) ? enter(id) : setOpen(id, true)),
      ArrowLeft: () => (opened.has(id) || path.length === 1 ? setOpen(id, false) : store.getState().leaveTo(path.length - 2)),
      Delete: () => remove(id),
      Insert: () => focusRow(undefined),
      F2: () => act("node.rename"),
      m: () => act("node.mute"),
      b: () => act("node.bypass"),
      ".": () => act("view.fitSelection"),
    };
    const run = acts[event.key];
    if (run === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    run();
  };

  return (
    <div ref={panel} className="outline" data-keys="own">
      {path.length > 1 && (
        <button type="button" className="button" onClick={() => store.getState().leaveTo(path.length - 2)}>
          <ArrowLeft size={14} aria-hidden /> {t("outline.leave", { name: level.definition?.name ?? "" })}
        </button>
      )}
      <AddField onAdd={add} />
      {ordered.length > 8 && (
        <input
          className="text-field"
          type="search"
          value={query}
          placeholder={t("outline.search")}
          aria-label={t("outline.search")}
          onChange={(event) => setQuery(event.target.value)}
        />
      )}
      {ordered.length === 0 && <p className="hint">{t("outline.empty")}</p>}
      <ol aria-label={level.id === ROOT ? t("panel.outline") : (level.definition?.name ?? t("panel.outline"))}>
        {shown.map((id) => {
          const node = level.nodes.get(id);
          return node === undefined ? null : (
            <li key={id} data-mode={node.mode}>
              <Row
                id={id}
                name={nameOf(level, id, types, document)}
                mode={node.mode}
                serverId={prefix + id}
                open={opened.has(id)}
                inTabOrder={id === stop}
                onFocus={() => select(id)}
                onToggle={() => setOpen(id, !opened.has(id))}
                onKeyDown={(event) => keys(id, event)}
              />
              {opened.has(id) && <OutlineNode level={level} node={node} prefix={prefix} />}
            </li>
          );
        })}
      </ol>
      <p className="hint outline-keys">{t("outline.keys")}</p>
    </div>
  );
}

interface RowProps {
  readonly id: NodeId;
  readonly name: string;
  readonly mode: Mode;
  readonly serverId: string;
  readonly open: boolean;
  readonly inTabOrder: boolean;
  readonly onFocus: () => void;
  readonly onToggle: () => void;
  readonly onKeyDown: (event: React.KeyboardEvent) => void;
}

function Row({ id, name, mode, serverId, open, inTabOrder, onFocus, onToggle, onKeyDown }: RowProps): React.JSX.Element {
  const { t } = useTranslation();
  const hasErrors = useErrorsOf(serverId).length > 0;
  const run = useRunOf(serverId);
  return (
    <button
      type="button"
      className="outline-row"
      data-row={id}
      data-run={run?.state}
      aria-expanded={open}
      tabIndex={inTabOrder ? 0 : -1}
      onFocus={onFocus}
      onClick={onToggle}
      onKeyDown={onKeyDown}
    >
      <ChevronRight className="outline-arrow" size={14} aria-hidden />
      <span className="outline-name">{name}</span>
      {mode !== "normal" && <span className="outline-mode">{t(`outline.${mode}`)}</span>}
      {hasErrors && <span className="outline-mode outline-wrong">{t("outline.error")}</span>}
    </button>
  );
}
