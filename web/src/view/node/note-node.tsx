// Notes: text on the canvas. MarkdownNotes show it set, and as written while it is edited.

import { memo, useState, type CSSProperties } from "react";
import type { Node } from "../../model/document";
import { setValue } from "../../model/edit/nodes";
import { t } from "../../i18n";
import { useController } from "../controller-context";
import { useView } from "../context";
import { Markdown } from "./markdown-view";
import { ResizeGrip } from "./resize-grip";

/** A note's text is its only value, by whatever name the file has it. */
export function noteText(node: Node): { readonly name: string; readonly text: string } {
  const [entry] = Object.entries(node.values).filter(([, value]) => typeof value === "string");
  if (entry !== undefined) return { name: entry[0], text: String(entry[1]) };
  const unnamed = Array.isArray(node.unnamedValues) ? (node.unnamedValues as readonly unknown[])[0] : undefined;
  return { name: "text", text: typeof unnamed === "string" ? unnamed : "" };
}

export const NoteNode = memo(function NoteNode({ node, style }: { readonly node: Node; readonly style: CSSProperties }): React.JSX.Element {
  const controller = useController();
  const [isEditing, setEditing] = useState(false);
  const isRenaming = useView((view) => view.renaming === node.id);
  const { name, text } = noteText(node);
  const isPlain = node.type === "Note";
  const title = node.title ?? t("view.note.title");
  const keep = (next: string): void => {
    setEditing(false);
    if (next !== text) controller.edit(setValue(controller.shown().level, node.id, name, next), "note");
  };
  return (
    <div className={`n-node n-note is-${node.mode}`} style={style} onDoubleClick={(event) => event.stopPropagation()}>
      <div className="n-head" onDoubleClick={() => controller.view.getState().set({ renaming: node.id })}>
        {isRenaming ? (
          <input
            className="n-title-field nodrag nopan"
            aria-label={t("view.node.title")}
            defaultValue={title}
            autoFocus
            onBlur={(event) => {
              controller.rename(node.id, event.currentTarget.value);
              controller.view.getState().set({ renaming: undefined });
            }}
            onKeyDown={(event) => {
              event.stopPropagation();
              if (event.key === "Enter" || event.key === "Escape") event.currentTarget.blur();
            }}
          />
        ) : (
          <span className="n-title">{title}</span>
        )}
      </div>
      {isEditing ? (
        <textarea
          className="n-note-field nodrag nopan"
          aria-label={title}
          defaultValue={text}
          autoFocus
          onBlur={(event) => keep(event.currentTarget.value)}
          onKeyDown={(event) => {
            event.stopPropagation();
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
      ) : (
        <div className="n-note-text scrolls" title={t("view.note.edit")} onDoubleClick={() => setEditing(true)}>
          {isPlain ? <p className="is-plain">{text}</p> : <Markdown text={text} />}
          {text === "" && <p className="n-hint">{t("view.note.edit")}</p>}
        </div>
      )}
      <ResizeGrip node={node} />
    </div>
  );
});
