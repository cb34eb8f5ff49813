// The ends of a subgraph, seen from inside: its inputs on the left, its outputs on the right. The last dot makes a new one.

import { ChevronDown, ChevronUp, X } from "lucide-react";
import type { NodeProps } from "@xyflow/react";
import { memo, useState, type CSSProperties } from "react";
import type { Port } from "../../model/document";
import { endKey } from "../../model/edit/links";
import { labelPort, movePort, removePort } from "../../model/edit/ports";
import type { ShownSlot, Side } from "../../model/edit/slots";
import { INPUTS, ROOT, type NodeId } from "../../model/ids";
import { useDocument } from "../../state/context";
import { t } from "../../i18n";
import { useController } from "../controller-context";
import { useView } from "../context";
import { named } from "../names";
import { Dot } from "./dot";

const NO_PORTS: readonly Port[] = [];

/** The end of inside: a subgraph's inputs give, its outputs take. */
const slotOf = (port: Port): ShownSlot => ({ name: port.name, type: port.type, label: port.label ?? port.name, required: true, list: false, advanced: false });

export const EndView = memo(function EndView({ id }: NodeProps): React.JSX.Element {
  const own = named(id).id as NodeId;
  const isInput = own === INPUTS;
  const ports = useDocument((state) => {
    const definition = state.document.levels.get(state.path.at(-1) ?? ROOT)?.definition;
    return (isInput ? definition?.inputs : definition?.outputs) ?? NO_PORTS;
  });
  const side: Side = isInput ? "input" : "output";
  return (
    <div className="n-node n-end">
      <div className="n-head">
        <span className="n-title">{t(isInput ? "view.end.inputs" : "view.end.outputs")}</span>
      </div>
      <div className="n-body">
        {ports.map((port) => (
          <PortRow key={port.name} own={own} side={side} port={port} />
        ))}
        <NewPort own={own} side={side} />
      </div>
    </div>
  );
}, (before, after) => before.id === after.id);

interface RowProps {
  readonly own: NodeId;
  readonly side: Side;
  readonly port: Port;
}

function PortRow({ own, side, port }: RowProps): React.JSX.Element {
  const controller = useController();
  const [isRenaming, setRenaming] = useState(false);
  const slot = slotOf(port);
  const edit = (change: Parameters<typeof controller.edit>[0]): void => controller.edit(change, "port");
  const rename = (label: string): void => {
    setRenaming(false);
    if (label !== slot.label) edit(labelPort(controller.shown().level, side, port.name, label));
  };
  const tool = (label: string, icon: React.ReactNode, run: () => void): React.JSX.Element => (
    <button type="button" tabIndex={-1} className="n-tool nodrag" title={label} aria-label={`${label}: ${slot.label}`} onClick={run}>
      {icon}
    </button>
  );
  return (
    <div className="n-row" onDoubleClick={() => setRenaming(true)}>
      {isRenaming ? (
        <input
          className="n-title-field nodrag nopan"
          aria-label={t("view.end.rename")}
          defaultValue={slot.label}
          autoFocus
          onBlur={(event) => rename(event.currentTarget.value)}
          onKeyDown={(event) => {
            event.stopPropagation();
            if (event.key === "Escape") event.currentTarget.value = slot.label;
            if (event.key === "Enter" || event.key === "Escape") event.currentTarget.blur();
          }}
        />
      ) : (
        <span className={`n-label ${side === "input" ? "is-output" : ""}`} title={t("view.end.rename")}>
          {slot.label}
        </span>
      )}
      <span className="n-port-tools">
        {tool(t("view.end.up"), <ChevronUp size={12} aria-hidden />, () => edit(movePort(controller.shown().level, side, port.name, -1)))}
        {tool(t("view.end.down"), <ChevronDown size={12} aria-hidden />, () => edit(movePort(controller.shown().level, side, port.name, 1)))}
        {tool(t("view.end.remove"), <X size={12} aria-hidden />, () => edit(removePort(controller.shown().document, controller.shown().level, side, port.name)))}
      </span>
      <Dot node={own} side={side === "input" ? "output" : "input"} slot={slot} />
    </div>
  );
}

/** Dropping a link here makes a port of it. */
function NewPort({ own, side }: { readonly own: NodeId; readonly side: Side }): React.JSX.Element {
  const dotSide: Side = side === "input" ? "output" : "input";
  const key = endKey(dotSide, own, "");
  const state = useView(({ connecting, over }) => {
    if (connecting === undefined) return "";
    return connecting.targets.has(key) ? (over === key ? "is-lit is-over" : "is-lit") : "is-dim";
  });
  return (
    <div className="n-row">
      <span className={`n-label n-hint ${side === "input" ? "is-output" : ""}`}>{t("view.end.new")}</span>
      <span className={`n-dot nodrag nopan is-${dotSide} is-ring ${state}`} style={{ "--type": "var(--muted)" } as CSSProperties} data-end={JSON.stringify(key)} title={t("view.end.newHint")} />
    </div>
  );
}
