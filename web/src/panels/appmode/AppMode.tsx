// A workflow as a form: the fields that were chosen, Run, and the results. It works on a phone.

import { Check, Pencil, Play, Square } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Level } from "../../model/document";
import { levelOf } from "../../model/document";
import { shownType } from "../../model/edit/shown-type";
import { slotsOf } from "../../model/edit/slots";
import { executionOrder } from "../../model/edit/graph";
import { ROOT, type NodeId } from "../../model/ids";
import type { NodeType } from "../../model/types";
import { useDocument, useDocumentStore, useErrorsOf, useRuns, useWorkspace } from "../../state/context";
import { NodeWidgets } from "../../widgets";
import { useEditor } from "../shell/editor";
import { nameOf } from "../outline/sources";
import { formChange, opensAsForm, opensChange, readForm, toggleField, toggleOutput, usualForm, type Form } from "./linear";
import { Results } from "./Results";
import "./appmode.css";

export function AppMode(): React.JSX.Element {
  const { t } = useTranslation();
  const { act } = useEditor();
  const document = useDocument((state) => state.document);
  const types = useWorkspace((state) => state.types);
  const job = useRuns((state) => state.job);
  const [choosing, setChoosing] = useState(false);
  const level = levelOf(document, ROOT);
  const form = readForm(document) ?? usualForm(document, types);
  return (
    <main className="form-page">
      <div className="form-fields">
        <header>
          <h2>{t(choosing ? "form.choose" : "form.title")}</h2>
          <button type="button" className="button" aria-pressed={choosing} onClick={() => setChoosing(!choosing)}>
            {choosing ? <Check size={14} aria-hidden /> : <Pencil size={14} aria-hidden />}
            {t(choosing ? "form.done" : "form.edit")}
          </button>
        </header>
        {choosing ? <Chooser level={level} form={form} /> : <Fields level={level} form={form} />}
        {!choosing && (
          <div className="form-run">
            <button type="button" className="button primary" onClick={() => act("run.queue")}>
              <Play size={14} aria-hidden fill="currentColor" /> {t("shell.run")}
            </button>
            {job !== undefined && (
              <button type="button" className="button" onClick={() => act("run.cancel")}>
                <Square size={12} aria-hidden fill="currentColor" /> {t("shell.cancel")}
              </button>
            )}
          </div>
        )}
      </div>
      <Results outputs={form.outputs} />
    </main>
  );
}

function Fields({ level, form }: { readonly level: Level; readonly form: Form }): React.JSX.Element {
  const { t } = useTranslation();
  const document = useDocument((state) => state.document);
  const types = useWorkspace((state) => state.types);
  const ids = [...new Set(form.inputs.map((field) => field.node))];
  const nodes = ids.map((id) => level.nodes.get(id)).filter((node) => node !== undefined);
  if (nodes.length === 0) return <p className="hint">{t("form.none")}</p>;
  return (
    <>
      {nodes.map((node) => {
        const { id } = node;
        const type = shownType(node, slotsOf(document, node, types), types);
        const names = new Set(form.inputs.filter((field) => field.node === id).map((field) => field.input));
        return (
          <section key={id} className="form-node" aria-label={nameOf(level, id, types, document)}>
            <h3>{nameOf(level, id, types, document).replace(/ #\S+$/, "")}</h3>
            <NodeWidgets level={level.id} node={id} type={type} only={kept(type, names)} serverId={id} />
            <NodeErrors id={id} />
          </section>
        );
      })}
    </>
  );
}

const chosen = new WeakMap<NodeType, Map<string, ReadonlySet<string>>>();

/** The names of the chosen inputs, as the same object each time, so that fields are not drawn anew. */
function kept(type: NodeType, names: ReadonlySet<string>): ReadonlySet<string> {
  const key = [...names].sort().join("\n");
  const known = chosen.get(type) ?? new Map<string, ReadonlySet<string>>();
  chosen.set(type, known);
  const made = known.get(key) ?? names;
  known.set(key, made);
  return made;
}

function NodeErrors({ id }: { readonly id: NodeId }): React.JSX.Element {
  const errors = useErrorsOf(id);
  return (
    <>
      {errors
        .filter((error) => error.input === undefined)
        .map((error) => (
          <p key={error.message} className="outline-error">
            {error.message}
          </p>
        ))}
    </>
  );
}

/** Every field and every result with a box to choose it. */
function Chooser({ level, form }: { readonly level: Level; readonly form: Form }): React.JSX.Element {
  const { t } = useTranslation();
  const store = useDocumentStore();
  const document = useDocument((state) => state.document);
  const types = useWorkspace((state) => state.types);
  const set = (next: Form): void => store.getState().edit(formChange(document, next), "step.form");
  return (
    <>
      <p className="hint">{t("form.chooseHelp")}</p>
      <label className="form-opens">
        <input
          type="checkbox"
          className="switch"
          role="switch"
          checked={opensAsForm(document)}
          onChange={(event) => store.getState().edit(opensChange(document, form, event.target.checked), "step.form")}
        />
        {t("form.opens")}
      </label>
      {executionOrder(level).map((id) => {
        const node = level.nodes.get(id);
        if (node === undefined) return null;
        const { widgets } = slotsOf(document, node, types);
        const isOutput = types.get(node.type)?.isOutput === true;
        return widgets.length === 0 && !isOutput ? null : (
          <fieldset key={id} className="form-choice">
            <legend>{nameOf(level, id, types, document)}</legend>
            {widgets.map((slot) => (
              <label key={slot.name}>
                <input
                  type="checkbox"
                  checked={form.inputs.some((field) => field.node === id && field.input === slot.name)}
                  onChange={() => set(toggleField(form, { node: id, input: slot.name }))}
                />
                {slot.label}
              </label>
            ))}
            {isOutput && (
              <label>
                <input type="checkbox" checked={form.outputs.includes(id)} onChange={() => set(toggleOutput(form, id))} />
                {t("form.result")}
              </label>
            )}
          </fieldset>
        );
      })}
    </>
  );
}
