// What one node of the outline holds: what may be done with it, its fields, and where its inputs come from.

import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Level, Node } from "../../model/document";
import { connect, disconnect } from "../../model/edit/links";
import { linkTo } from "../../model/edit/graph";
import { shownType } from "../../model/edit/shown-type";
import { slotsOf } from "../../model/edit/slots";
import { innerOf } from "../../model/edit/subgraph";
import { all } from "../../model/changes";
import { NodeWidgets } from "../../widgets";
import { useDocument, useDocumentStore, useErrorsOf, useWorkspace } from "../../state/context";
import { useEditor } from "../shell/editor";
import { feeding, keyOf, sourcesFor } from "./sources";

interface Props {
  readonly level: Level;
  readonly node: Node;
  /** What the server's id has before the node's. */
  readonly prefix: string;
}

const ACTIONS = ["node.rename", "node.mute", "node.bypass", "node.run", "view.fitSelection", "edit.duplicate", "edit.delete"];

export function OutlineNode({ level, node, prefix }: Props): React.JSX.Element {
  const { t } = useTranslation();
  const { act } = useEditor();
  const store = useDocumentStore();
  const document = useDocument((state) => state.document);
  const types = useWorkspace((state) => state.types);
  const errors = useErrorsOf(prefix + node.id);
  const slots = slotsOf(document, node, types);
  const isLinked = (slot: { readonly name: string }): boolean => linkTo(level, { node: node.id, slot: slot.name }) !== undefined;
  const inner = innerOf(document, level, node.id);
  return (
    <div className="outline-inside">
      <div className="outline-actions" role="group" aria-label={t("outline.actions")}>
        {ACTIONS.map((id) => (
          <button key={id} type="button" className="chip" onClick={() => act(id)}>
            {t(`outline.do.${id}`)}
          </button>
        ))}
        {inner !== undefined && (
          <button type="button" className="chip" onClick={() => store.getState().enter(inner.id)}>
            {t("command.structure.enter")}
          </button>
        )}
      </div>
      {errors.map((error) => (
        <p key={error.message} className="outline-error">
          {error.message}
        </p>
      ))}
      {slots.inputs.map((slot) => (
        <SourceField key={slot.name} level={level} node={node} slot={slot.name} label={slot.label} required={slot.required} />
      ))}
      <NodeWidgets level={level.id} node={node.id} type={shownType(node, slots, types)} serverId={prefix + node.id} />
      {slots.widgets.filter(isLinked).map((slot) => (
        <SourceField key={slot.name} level={level} node={node} slot={slot.name} label={slot.label} required={false} />
      ))}
      {!slots.widgets.every(isLinked) && <FieldLinks level={level} node={node} slots={slots.widgets.filter((slot) => !isLinked(slot))} />}
    </div>
  );
}

/** Fields may be linked, too; the choices are made only when somebody looks. */
function FieldLinks({ level, node, slots }: { readonly level: Level; readonly node: Node; readonly slots: readonly { readonly name: string; readonly label: string }[] }): React.JSX.Element {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <details className="outline-links" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t("outline.linkFields")}</summary>
      {open && slots.map((slot) => <SourceField key={slot.name} level={level} node={node} slot={slot.name} label={slot.label} required={false} />)}
    </details>
  );
}

interface SourceProps {
  readonly level: Level;
  readonly node: Node;
  readonly slot: string;
  readonly label: string;
  readonly required: boolean;
}

/** The link into an input as a choice among the outputs that fit. */
function SourceField({ level, node, slot, label, required }: SourceProps): React.JSX.Element {
  const { t } = useTranslation();
  const store = useDocumentStore();
  const document = useDocument((state) => state.document);
  const types = useWorkspace((state) => state.types);
  const to = { node: node.id, slot };
  const now = feeding(level, to);
  const sources = sourcesFor(document, level, to, types);
  const value = now === undefined ? "" : keyOf(now);
  const choose = (key: string): void => {
    const source = sources.find((candidate) => candidate.key === key);
    const link = linkTo(level, to);
    if (source === undefined) {
      if (link !== undefined) store.getState().edit(all(...disconnect(level, [link.id])), "step.disconnect");
      return;
    }
    const change = connect(document, level, source.end, to, source.type);
    if (change !== undefined) store.getState().edit(change, "step.connect");
  };
  return (
    <label className="outline-source" data-missing={required && now === undefined}>
      <span>{label}</span>
      <select className="text-field" value={value} onChange={(event) => choose(event.target.value)}>
        <option value="">{t("outline.nothing")}</option>
        {now !== undefined && !sources.some((source) => source.key === value) && <option value={value}>{`#${now.node} → ${now.slot}`}</option>}
        {sources.map((source) => (
          <option key={source.key} value={source.key}>
            {source.label}
          </option>
        ))}
      </select>
    </label>
  );
}
