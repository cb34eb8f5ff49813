// Which fields and results a form shows. Kept in `extra.linearData`, as the community's files do: `inputs` is a list of
// pairs [node id, widget name], `outputs` a list of node ids.

import type { Change } from "../../model/changes";
import type { Document, Level } from "../../model/document";
import { levelOf } from "../../model/document";
import { nodeId, ROOT, type NodeId } from "../../model/ids";
import { isArray, isObject, type Json, type JsonObject } from "../../model/json";
import { executionOrder } from "../../model/edit/graph";
import { slotsOf } from "../../model/edit/slots";
import type { NodeTypes } from "../../model/types";

export interface FormField {
  readonly node: NodeId;
  readonly input: string;
}
export interface Form {
  readonly inputs: readonly FormField[];
  readonly outputs: readonly NodeId[];
}

const extraOf = (document: Document): JsonObject => {
  const extra = document.rest["extra"];
  return isObject(extra) ? extra : {};
};

/** The form that the file has; undefined if it has none, or an empty one. */
export function readForm(document: Document): Form | undefined {
  const data = extraOf(document)["linearData"];
  if (!isObject(data)) return undefined;
  const inputs = isArray(data["inputs"]) ? data["inputs"].flatMap(readField) : [];
  const outputs = isArray(data["outputs"]) ? data["outputs"].flatMap(readId) : [];
  return inputs.length + outputs.length === 0 ? undefined : { inputs, outputs };
}

/** Whether the file says that it is to be opened as a form. */
export const opensAsForm = (document: Document): boolean =>
  extraOf(document)["linearMode"] === true && readForm(document) !== undefined;

/** Open as a form, or not; the form that is shown is written down with it. */
export function opensChange(document: Document, form: Form, opens: boolean): Change {
  const change = formChange(document, form);
  if (change.kind !== "patch-rest") return change;
  const extra = isObject(change.rest["extra"]) ? change.rest["extra"] : {};
  return { kind: "patch-rest", rest: { ...change.rest, extra: { ...extra, linearMode: opens } } };
}

function readField(entry: Json): FormField[] {
  if (!isArray(entry)) return [];
  const [id, input] = entry;
  return typeof input === "string" ? readId(id ?? null).map((node) => ({ node, input })) : [];
}

const readId = (value: Json): NodeId[] =>
  typeof value === "number" || typeof value === "string" ? [nodeId(value)] : [];

/** Numbers stay numbers, as other readers expect. */
const writeId = (id: NodeId): Json => (/^\d{1,15}$/.test(id) ? Number(id) : id);

export function formChange(document: Document, form: Form): Change {
  const extra = extraOf(document);
  const before = isObject(extra["linearData"]) ? extra["linearData"] : {};
  const linearData = {
    ...before,
    inputs: form.inputs.map(({ node, input }): Json => [writeId(node), input]),
    outputs: form.outputs.map(writeId),
  };
  return { kind: "patch-rest", rest: { ...document.rest, extra: { ...extra, linearData } } };
}

/** What a form has before anybody chose: the texts and seeds, and every result. */
export function usualForm(document: Document, types: NodeTypes): Form {
  const level = levelOf(document, ROOT);
  const order = executionOrder(level);
  const inputs = order.flatMap((id) => usualFields(document, level, id, types));
  return { inputs, outputs: order.filter((id) => types.get(level.nodes.get(id)?.type ?? "")?.isOutput === true) };
}

function usualFields(document: Document, level: Level, id: NodeId, types: NodeTypes): FormField[] {
  const node = level.nodes.get(id);
  if (node === undefined || node.mode !== "normal") return [];
  return slotsOf(document, node, types)
    .widgets.filter(({ widget }) => {
      if (widget === undefined || widget === "unknown") return false;
      if (widget.kind === "text") return widget.multiline;
      return (widget.kind === "int" && widget.controlled) || (widget.kind === "choice" && widget.upload !== undefined);
    })
    .map((slot) => ({ node: id, input: slot.name }));
}

export const toggleField = (form: Form, field: FormField): Form => {
  const rest = form.inputs.filter((one) => one.node !== field.node || one.input !== field.input);
  return { ...form, inputs: rest.length < form.inputs.length ? rest : [...form.inputs, field] };
};

export const toggleOutput = (form: Form, node: NodeId): Form => ({
  ...form,
  outputs: form.outputs.includes(node) ? form.outputs.filter((one) => one !== node) : [...form.outputs, node],
});
