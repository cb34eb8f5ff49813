// The graph as a list in execution order that can be read and edited without seeing the canvas: rename, values, links,
// mute, bypass, delete, jump, enter. Arrow keys go through it; what has the focus is selected on the canvas too.

import { ArrowLeft, ChevronRight } from "lucide-react";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { executionOrder } from "../../model/edit/graph";
import { instancePath } from "../../model/edit/subgraph";
import { ROOT, type NodeId } from "../../model/ids";
import { rank } from "../../commands/rank";
import { useDocument, useDocumentStore, useLevel, useWorkspace } from "../../state/context";
import { NOTHING_SELECTED } from "../../state/documents";
import { useEditor } from "../shell/editor";
import { OutlineNode } from "./OutlineNode";
import { nameOf } from "./sources";
import "./outline.css";

export function OutlinePanel(): React.JSX.Element {
  const { t } = useTranslation();
  const { act } = useEditor();
  const store = useDocumentStore();
  const level = useLevel();
  const document = useDocument((state) => state.document);
  const path = useDocument((state) => state.path);
  const types = useWorkspace((state) => state.types);
  const [opened, setOpened] = useState<ReadonlySet<NodeId>>(new Set());
  const [query, setQuery] = useState("");
  const list = useRef<HTMLOListElement>(null);

  const ordered = executionOrder(level);
  const shown = query === "" ? ordered : rank(query, ordered, (id) => ({ name: nameOf(level, id, types, document), also: [level.nodes.get(id)?.type ?? ""] }));
  const prefix = instancePath(document, path).map((id) => `${id}:`).join("");

  const setOpen = (id: NodeId, open: boolean): void => {
    const next = new Set(opened);
    if (open) next.add(id);
    else next.delete(id);
    setOpened(next);
  };
  const select = (id: NodeId): void => {
    const { selection } = store.getState();
    if (selection.nodes.size === 1 && selection.nodes.has(id)) return;
    store.getState().select({ ...NOTHING_SELECTED, nodes: new Set([id]) });
  };
  const step = (id: NodeId, by: number): void => {
    const next = shown[shown.indexOf(id) + by];
    if (next !== undefined) list.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(next)}"]`)?.focus();
  };
  const keys = (id: NodeId, event: React.KeyboardEvent): void => {
    const acts: Readonly<Record<string, () => void>> = {
      ArrowDown: () => step(id, 1),
      ArrowUp: () => step(id, -1),
      ArrowRight: () => setOpen(id, true),
      ArrowLeft: () => setOpen(id, false),
      Delete: () => {
        step(id, 1);
        select(id);
        act("edit.delete");
      },
      F2: () => act("node.rename"),
      ".": () => act("view.fitSelection"),
    };
    const run = acts[event.key];
    if (run === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    run();
  };

  return (
    <div className="outline" data-keys="own">
      {path.length > 1 && (
        <button type="button" className="button" onClick={() => store.getState().leaveTo(path.length - 2)}>
          <ArrowLeft size={14} aria-hidden /> {t("outline.leave", { name: level.definition?.name ?? "" })}
        </button>
      )}
      <input
        className="text-field"
        type="search"
        value={query}
        placeholder={t("outline.search")}
        aria-label={t("outline.search")}
        onChange={(event) => setQuery(event.target.value)}
      />
      {ordered.length === 0 && <p className="hint">{t("outline.empty")}</p>}
      <ol ref={list} aria-label={level.id === ROOT ? t("panel.outline") : (level.definition?.name ?? t("panel.outline"))}>
        {shown.map((id, place) => {
          const node = level.nodes.get(id);
          return node === undefined ? null : (
            <li key={id} data-mode={node.mode}>
              <button
                type="button"
                className="outline-row"
                data-row={id}
                aria-expanded={opened.has(id)}
                tabIndex={place === 0 || document === undefined ? 0 : -1}
                onFocus={() => select(id)}
                onClick={() => setOpen(id, !opened.has(id))}
                onKeyDown={(event) => keys(id, event)}
              >
                <ChevronRight className="outline-arrow" size={14} aria-hidden />
                <span className="outline-name">{nameOf(level, id, types, document)}</span>
                {node.mode !== "normal" && <span className="outline-mode">{t(`outline.${node.mode}`)}</span>}
              </button>
              {opened.has(id) && <OutlineNode level={level} node={node} prefix={prefix} />}
            </li>
          );
        })}
      </ol>
    </div>
  );
}
