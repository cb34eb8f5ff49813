// One widget of a node: its value from the document, the field of its kind, its link, its errors.

import { Link2 } from "lucide-react";
import { memo, useId, type ReactNode } from "react";
import type { AfterRun, Node } from "../model/document";
import type { LevelId, NodeId } from "../model/ids";
import type { Json } from "../model/json";
import type { ChoiceWidget, InputType, IntWidget, Widget } from "../model/types";
import { useDocument, useDocumentStore, useErrorsOf, useWorkspace } from "../state/context";
import type { DocumentState } from "../state/documents";
import { t } from "../i18n";
import { ChoiceField } from "./choice-field";
import { ColourField } from "./colour-field";
import { FieldErrors } from "./errors";
import type { FieldProps } from "./field";
import { ImageField } from "./image-field";
import { JsonField } from "./json-field";
import { isLinked, sourceOf } from "./links";
import { NumberField } from "./number-field";
import { PromptField } from "./prompt-field";
import { ControlButton, DEFAULT_CONTROL, SeedField } from "./seed-field";
import { SwitchField } from "./switch-field";
import { TextField } from "./text-field";
import { UploadField } from "./upload-field";

export interface WidgetPlace {
  readonly level: LevelId;
  readonly node: NodeId;
  /** The id by which the server knows the node. */
  readonly serverId: string;
}

interface WidgetRowProps extends WidgetPlace {
  readonly input: InputType;
  readonly widget: Widget;
  readonly socket?: ((input: InputType) => ReactNode) | undefined;
}

export const nodeIn = (state: DocumentState, level: LevelId, node: NodeId): Node | undefined =>
  state.document.levels.get(level)?.nodes.get(node);

export const labelOf = (input: InputType): string => {
  const label = input.options["display_name"];
  return typeof label === "string" && label !== "" ? label : (input.label ?? input.name);
};

export const WidgetRow = memo(function WidgetRow(props: WidgetRowProps): React.JSX.Element {
  const { level, node, input, widget, socket } = props;
  const value = useDocument((state) => nodeIn(state, level, node)?.values[input.name] ?? widget.default);
  const linked = useDocument((state) => isLinked(state.document, level, node, input.name));
  const errors = useErrorsOf(props.serverId).filter((error) => error.input === input.name);
  const store = useDocumentStore();
  const id = useId();
  const invalid = errors.length > 0;
  const set = (next: Json, gesture?: string): void => {
    const now = nodeIn(store.getState(), level, node);
    if (now === undefined) return;
    const patch = { values: { ...now.values, [input.name]: next } };
    store.getState().edit({ kind: "patch-node", level, id: node, patch }, "widgets.step.set", gesture);
  };
  const describedBy = invalid ? id : undefined;
  const field = { input, widget, label: labelOf(input), value, invalid, describedBy, set };
  const isTall = !linked && (widget.kind === "other" || (widget.kind === "text" && widget.multiline));
  return (
    <div className={`w-row${isTall ? " is-tall" : ""}`} data-widget={input.name} title={input.tooltip}>
      {socket?.(input)}
      {linked ? <LinkedField {...props} invalid={invalid} describedBy={describedBy} /> : <Field {...props} field={field} />}
      {invalid && <FieldErrors id={id} errors={errors} value={value} widget={widget} isLinked={linked} />}
    </div>
  );
});

interface FieldSwitchProps extends WidgetPlace {
  readonly input: InputType;
  readonly widget: Widget;
  readonly field: FieldProps;
}

/** The field of the widget's kind. */
function Field({ widget, input, field, level, node }: FieldSwitchProps): React.JSX.Element {
  switch (widget.kind) {
    case "int":
      if (widget.controlled) return <ControlledSeed {...field} widget={widget} level={level} node={node} />;
      return <NumberField {...field} widget={widget} />;
    case "float":
      return <NumberField {...field} widget={widget} />;
    case "switch":
      return <SwitchField {...field} widget={widget} />;
    case "text":
      return widget.multiline ? <PromptField {...field} widget={widget} /> : <TextField {...field} widget={widget} />;
    case "choice":
      if (widget.upload === "image") return <ImageField {...field} widget={widget} />;
      if (widget.upload !== undefined) return <UploadField {...field} widget={widget} />;
      return <ControlledChoice {...field} widget={widget} level={level} node={node} />;
    case "other":
      return input.type === "COLOR" ? <ColourField {...field} /> : <JsonField {...field} />;
  }
}

function useControl(level: LevelId, node: NodeId, name: string): [AfterRun, (mode: AfterRun) => void] {
  const store = useDocumentStore();
  const mode = useDocument((state) => nodeIn(state, level, node)?.control[name] ?? DEFAULT_CONTROL);
  const setMode = (next: AfterRun): void => {
    const now = nodeIn(store.getState(), level, node);
    if (now === undefined || next === mode) return;
    const patch = { control: { ...now.control, [name]: next } };
    store.getState().edit({ kind: "patch-node", level, id: node, patch }, "widgets.step.control");
  };
  return [mode, setMode];
}

interface ControlledProps {
  readonly level: LevelId;
  readonly node: NodeId;
}

function ControlledSeed({ level, node, ...field }: FieldProps<IntWidget> & ControlledProps): React.JSX.Element {
  const [mode, setMode] = useControl(level, node, field.input.name);
  return <SeedField {...field} mode={mode} setMode={setMode} />;
}

function ControlledChoice({ level, node, ...field }: FieldProps<ChoiceWidget> & ControlledProps): React.JSX.Element {
  const [mode, setMode] = useControl(level, node, field.input.name);
  const isControlled = Boolean(field.input.options["control_after_generate"] ?? false);
  return <ChoiceField {...field}>{isControlled && <ControlButton label={field.label} mode={mode} setMode={setMode} />}</ChoiceField>;
}

interface LinkedFieldProps extends WidgetRowProps {
  readonly invalid: boolean;
  readonly describedBy: string | undefined;
}

/** A widget whose value a link brings: it cannot be changed here, and says where the value comes from. */
function LinkedField({ level, node, input, invalid, describedBy }: LinkedFieldProps): React.JSX.Element {
  const types = useWorkspace((state) => state.types);
  const described = useDocument((state) => {
    const source = sourceOf(state.document, types, level, node, input.name);
    if (source === undefined) return "";
    const { node: from, slot, value } = source;
    const place = from === undefined ? t("widgets.linked.outside", { slot }) : t("widgets.linked.from", { node: from, slot });
    return value === undefined ? place : `${from ?? slot}\n${value}`;
  });
  const [place = "", value] = described.split("\n");
  const label = labelOf(input);
  return (
    <div
      className={`w-field w-linked${invalid ? " is-invalid" : ""}`}
      role="group"
      aria-disabled
      aria-label={t("widgets.linked.label", { name: label, source: described.replace("\n", ": ") })}
      aria-describedby={describedBy}
      title={described.replace("\n", ": ")}
    >
      <span className="w-name">{label}</span>
      {value === undefined ? (
        <span className="w-value">{place}</span>
      ) : (
        <span className="w-value has-path">
          <span className="w-path">{`${place}: `}</span>
          <span className="w-last">{value}</span>
        </span>
      )}
      <Link2 size={12} aria-hidden />
    </div>
  );
}
