// All widgets of a node, one row each; advanced ones fold. One menu serves all rows.

import { ChevronDown, ChevronRight } from "lucide-react";
import { memo, useState, type MouseEvent, type ReactNode } from "react";
import type { Level } from "../model/document";
import type { LevelId, NodeId } from "../model/ids";
import { isPromoted, togglePromoted } from "../model/edit/ports";
import { inputsOf, isDynamic } from "../model/inputs";
import { writeJson, type Json } from "../model/json";
import type { InputType, NodeType, Widget } from "../model/types";
import { useDocument, useDocumentStore, useErrorsOf, useWorkspace } from "../state/context";
import { newId } from "../state/session";
import { t } from "../i18n";
import { FloatingMenu, type MenuItem } from "./floating";
import { incoming, short } from "./links";
import { nodeIn, WidgetRow, type WidgetPlace } from "./widget-row";
import "./widgets.css";
import "./pictures.css";
import "./floating.css";

export interface NodeWidgetsProps extends WidgetPlace {
  readonly type: NodeType;
  /** Show these alone, with what their choices bring, and fold none. */
  readonly only?: ReadonlySet<string>;
  /** Draws the socket of an input; it is put into the row, which is the origin of its position. */
  readonly socket?: (input: InputType) => ReactNode;
}

type WidgetInput = InputType & { readonly widget: Widget };
const hasWidget = (input: InputType): input is WidgetInput => input.widget !== undefined;

interface MenuState {
  readonly input: WidgetInput;
  readonly x: number;
  readonly y: number;
}

export const NodeWidgets = memo(function NodeWidgets({ level, node, type, only, serverId, socket }: NodeWidgetsProps): React.JSX.Element | null {
  const [menu, setMenu] = useState<MenuState>();
  const inputs = useFields(level, node, type).filter(({ name }) => only === undefined || isAmong(only, name));
  const advanced = only === undefined ? inputs.filter((input) => input.advanced) : [];
  const place = { level, node, serverId };
  if (inputs.length === 0) return null;

  const opened = (event: MouseEvent): void => {
    // Where text is written, the browser's own menu has spelling and paste.
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
    const name = event.target instanceof Element ? event.target.closest("[data-widget]")?.getAttribute("data-widget") : undefined;
    const input = inputs.find((each) => each.name === name);
    if (input === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    setMenu({ input, x: event.clientX, y: event.clientY });
  };
  return (
    <div className="w-widgets" onContextMenu={opened}>
      {inputs
        .filter((input) => !advanced.includes(input))
        .map((input) => (
          <WidgetRow key={input.name} {...place} input={input} widget={input.widget} socket={socket} />
        ))}
      {advanced.length > 0 && <Advanced {...place} inputs={advanced} socket={socket} />}
      {menu !== undefined && <RowMenu {...place} inputs={inputs} at={menu} close={() => setMenu(undefined)} />}
    </div>
  );
});

const NO_VALUES: Readonly<Record<string, Json>> = {};

/** The fields of a node; those that a choice brings stand below it. */
function useFields(level: LevelId, node: NodeId, type: NodeType): readonly WidgetInput[] {
  const dynamic = isDynamic(type);
  const values = useDocument((state) => (dynamic ? nodeIn(state, level, node)?.values : undefined));
  return inputsOf(type, values ?? NO_VALUES).filter(hasWidget);
}

const isAmong = (names: ReadonlySet<string>, name: string): boolean =>
  names.has(name) || name.split(".").some((_, place, parts) => place > 0 && names.has(parts.slice(0, place).join(".")));

interface AdvancedProps extends WidgetPlace {
  readonly inputs: readonly WidgetInput[];
  readonly socket: ((input: InputType) => ReactNode) | undefined;
}

const linkedNames = (level: Level | undefined, node: NodeId, inputs: readonly WidgetInput[]): string =>
  level === undefined ? "" : inputs.filter((input) => incoming(level, node, input.name)).map((input) => input.name).join("\n");

/** What few people need. Linked inputs and those with errors are never folded away. */
function Advanced({ inputs, socket, ...place }: AdvancedProps): React.JSX.Element {
  const { level, node } = place;
  const store = useDocumentStore();
  const isOpen = useDocument((state) => nodeIn(state, level, node)?.rest["showAdvanced"] === true);
  const linked = useDocument((state) => linkedNames(state.document.levels.get(level), node, inputs)).split("\n");
  const errors = useErrorsOf(place.serverId);
  const toggle = (): void => {
    const now = nodeIn(store.getState(), level, node);
    if (now === undefined) return;
    const patch = { rest: { ...now.rest, showAdvanced: !isOpen } };
    store.getState().edit({ kind: "patch-node", level, id: node, patch }, "widgets.step.fold");
  };
  const kept = inputs.filter((input) => isOpen || linked.includes(input.name) || errors.some((error) => error.input === input.name));
  const Fold = isOpen ? ChevronDown : ChevronRight;
  return (
    <>
      <button type="button" className="w-fold nodrag" aria-expanded={isOpen} onClick={toggle}>
        <Fold size={12} aria-hidden />
        {t("widgets.advanced", { count: inputs.length })}
      </button>
      {kept.map((input) => (
        <WidgetRow key={input.name} {...place} input={input} widget={input.widget} socket={socket} />
      ))}
    </>
  );
}

interface RowMenuProps extends WidgetPlace {
  readonly inputs: readonly WidgetInput[];
  readonly at: MenuState;
  readonly close: () => void;
}

const without = (values: Readonly<Record<string, Json>>, names: readonly string[]): Record<string, Json> =>
  Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));

function RowMenu({ level, node, inputs, at, close }: RowMenuProps): React.JSX.Element {
  const store = useDocumentStore();
  const values = useDocument((state) => nodeIn(state, level, node)?.values) ?? {};
  const types = useWorkspace((state) => state.types);
  const { input } = at;
  const reset = (names: readonly string[]): void => {
    const patch = { values: without(values, names) };
    store.getState().edit({ kind: "patch-node", level, id: node, patch }, "widgets.step.reset");
  };
  const names = inputs.map((each) => each.name);
  const value = values[input.name] ?? input.widget.default;
  const items: MenuItem[] = [
    {
      label: t("widgets.reset", { value: short(input.widget.default) }),
      disabled: !(input.name in values),
      run: () => reset([input.name]),
    },
    { label: t("widgets.resetAll"), disabled: !names.some((name) => name in values), run: () => reset(names) },
    { label: t("widgets.copyValue"), run: () => void navigator.clipboard.writeText(typeof value === "string" ? value : writeJson(value)) },
  ];
  const graph = store.getState().document.levels.get(level);
  const change = graph === undefined ? undefined : togglePromoted(store.getState().document, graph, node, input.name, newId(), types);
  const promotion: MenuItem[] = graph?.definition === undefined ? [] : [
    {
      label: t("widgets.promote"),
      checked: isPromoted(graph, node, input.name),
      disabled: change === undefined,
      run: () => change !== undefined && store.getState().edit(change, "view.step.port"),
    },
  ];
  return <FloatingMenu at={at} label={input.name} items={[...items, ...promotion]} close={close} />;
}

