// A slot's dot on the border of its node: links begin and end here.

import { memo, type CSSProperties } from "react";
import type { End } from "../../model/document";
import { endKey } from "../../model/edit/links";
import { linksFrom, linkTo } from "../../model/edit/graph";
import type { ShownSlot, Side } from "../../model/edit/slots";
import type { NodeId } from "../../model/ids";
import { useDocument } from "../../state/context";
import { levelOf } from "../../model/document";
import { ROOT } from "../../model/ids";
import type { DocumentState } from "../../state/documents";
import { t } from "../../i18n";
import { startConnect } from "../connect";
import { useController } from "../controller-context";
import { useView } from "../context";
import { shapeOf, typeColor } from "../look";
import type { ViewState } from "../view-store";

export interface DotProps {
  readonly node: NodeId;
  readonly side: Side;
  readonly slot: ShownSlot;
}

/** What a dot shows while a link is drawn. */
const litness = (state: ViewState, key: string, end: End): string => {
  const { connecting } = state;
  if (connecting === undefined) return "";
  if (connecting.targets.has(key)) return state.over === key ? "is-lit is-over" : "is-lit";
  return connecting.end.node === end.node && connecting.end.slot === end.slot ? "is-own" : "is-dim";
};

const isLinked = (state: DocumentState, end: End, side: Side): boolean => {
  const level = levelOf(state.document, state.path.at(-1) ?? ROOT);
  return side === "input" ? linkTo(level, end) !== undefined : linksFrom(level, end).length > 0;
};

export const Dot = memo(function Dot({ node, side, slot }: DotProps): React.JSX.Element {
  const controller = useController();
  const end = { node, slot: slot.name };
  const key = endKey(side, node, slot.name);
  const state = useView((view) => litness(view, key, end));
  const linked = useDocument((documents) => isLinked(documents, end, side));
  const style = { "--type": typeColor(slot.type) } as CSSProperties;
  const name = slot.label === "" ? slot.type : slot.label;
  return (
    <button
      type="button"
      tabIndex={-1}
      className={`n-dot nodrag nopan is-${side} is-${shapeOf(slot, side === "input")} ${linked ? "is-linked" : ""} ${state}`}
      style={style}
      data-end={JSON.stringify(key)}
      data-slot={slot.name}
      aria-label={t(side === "input" ? "view.slot.input" : "view.slot.output", { name, type: slot.type })}
      title={slot.tooltip === undefined ? `${name} · ${slot.type}` : `${name} · ${slot.type}\n${slot.tooltip}`}
      onPointerDown={(event) => startConnect(controller, event, end, side)}
      onClick={(event) => event.stopPropagation()}
      onDoubleClick={(event) => event.stopPropagation()}
    />
  );
});
