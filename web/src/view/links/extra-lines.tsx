// Lines that are no links: what a bypassed node passes on, and from a SetNode to the GetNodes of its name.

import { memo, type CSSProperties } from "react";
import { namedLinks } from "../../model/edit/named";
import { passesOn } from "../../model/edit/pass";
import { HEAD } from "../../model/edit/size";
import { slotsOf } from "../../model/edit/slots";
import type { NodeId } from "../../model/ids";
import { useDocument } from "../../state/context";
import { useView } from "../context";
import { flowId } from "../names";
import { endPoint, pathOf, type Scene } from "./geometry";
import { useScene } from "./scene";
import "./links.css";

/** Over a bypassed node: dashed lines from its inputs to the outputs that they stand in for. */
export const PassThrough = memo(function PassThrough({ id }: { readonly id: NodeId }): React.JSX.Element | null {
  const path = useScene((scene) => passPath(scene, id));
  if (path === undefined || path === "") return null;
  return (
    <svg className="l-pass" aria-hidden>
      <path d={path} />
    </svg>
  );
});

function passPath(scene: Scene, id: NodeId): string | undefined {
  const node = scene.level.nodes.get(id);
  if (node === undefined) return undefined;
  const origin = scene.dragged.get(flowId.node(id)) ?? node.position;
  return passesOn(slotsOf(scene.document, node, scene.types))
    .flatMap(({ input, output }) => {
      const [from, to] = [endPoint(scene, { node: id, slot: input }, "input"), endPoint(scene, { node: id, slot: output }, "output")];
      if (from === undefined || to === undefined) return [];
      return pathOf([{ x: from.x - origin.x, y: from.y - origin.y }, { x: to.x - origin.x, y: to.y - origin.y }], "spline");
    })
    .join("");
}

/** Below the nodes, while one end is hovered or selected. */
export function NamedLines(): React.JSX.Element | null {
  const hovered = useView((view) => (view.hovered?.kind === "node" ? view.hovered.id : undefined));
  const selected = useDocument((state) => state.selection.nodes);
  const path = useScene((scene) => namedPath(scene, (id) => id === hovered || selected.has(id)));
  if (path === undefined || path === "") return null;
  return <path className="l-named" d={path} style={{ "--type": "var(--accent)" } as CSSProperties} aria-hidden />;
}

function namedPath(scene: Scene, isShown: (id: NodeId) => boolean): string {
  return namedLinks(scene.level)
    .filter(({ from, to }) => isShown(from) || isShown(to))
    .flatMap(({ from, to }) => {
      const [source, target] = [scene.level.nodes.get(from), scene.level.nodes.get(to)];
      if (source === undefined || target === undefined) return [];
      const [start, end] = [scene.dragged.get(flowId.node(from)) ?? source.position, scene.dragged.get(flowId.node(to)) ?? target.position];
      const width = scene.resized.get(flowId.node(from))?.width ?? source.size.width;
      return pathOf([{ x: start.x + width, y: start.y + HEAD / 2 }, { x: end.x, y: end.y + HEAD / 2 }], "spline");
    })
    .join("");
}
