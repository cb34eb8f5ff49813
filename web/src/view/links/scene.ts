// Links as they are now: from the document and from what is being dragged. Paths are texts, so equal ones draw nothing.

import { useCallback, useSyncExternalStore } from "react";
import type { Level, Link, Node } from "../../model/document";
import type { Box } from "../../model/edit/size";
import { reach } from "../../model/edit/graph";
import { slotsOf, type Slots } from "../../model/edit/slots";
import { ROOT, type LinkId, type NodeId } from "../../model/ids";
import type { NodeTypes } from "../../model/types";
import { useDocumentStore, useWorkspaceStore } from "../../state/context";
import type { DocumentStore } from "../../state/documents";
import { useRow, useViewStore } from "../context";
import { NOTHING, type Hovered, type ViewStore } from "../view-store";
import { boxAround, overlaps, pointsOf, type Scene } from "./geometry";
import { flowId } from "../names";

export function sceneOf(documents: DocumentStore, view: ViewStore, types: NodeTypes, row: number): Scene | undefined {
  const { document, path } = documents.getState();
  const level = document.levels.get(path.at(-1) ?? ROOT);
  if (level === undefined) return undefined;
  const { dragged, resized, anchors, ghosts } = view.getState();
  // While copies are dragged, links stay with the originals.
  return { document, level, types, row, anchors, resized, dragged: ghosts.size > 0 ? NOTHING : dragged };
}

/** Something worked out of the scene; drawn again only if it differs. It must be a plain value. */
export function useScene<T extends string | number | boolean | undefined>(select: (scene: Scene) => T): T | undefined {
  const documents = useDocumentStore();
  const view = useViewStore();
  const workspace = useWorkspaceStore();
  const row = useRow();
  const subscribe = useCallback(
    (heard: () => void) => {
      const stops = [documents.subscribe(heard), view.subscribe(heard), workspace.subscribe(heard)];
      return () => stops.forEach((stop) => stop());
    },
    [documents, view, workspace],
  );
  return useSyncExternalStore(subscribe, () => {
    const scene = sceneOf(documents, view, workspace.getState().types, row);
    return scene === undefined ? undefined : select(scene);
  });
}

interface Boxed {
  readonly from: Node | undefined;
  readonly to: Node | undefined;
  readonly reroutes: Level["reroutes"];
  readonly slots: Slots | undefined;
  readonly box: Box | undefined;
}
const boxes = new WeakMap<Link, Boxed>();

function boxOfLink(scene: Scene, link: Link): Box | undefined {
  const [from, to] = [scene.level.nodes.get(link.from.node), scene.level.nodes.get(link.to.node)];
  const known = boxes.get(link);
  const { reroutes } = scene.level;
  const slots = to === undefined ? undefined : slotsOf(scene.document, to, scene.types);
  if (from !== undefined && to !== undefined && known?.from === from && known.to === to && known.reroutes === reroutes && known.slots === slots) {
    return known.box;
  }
  const points = pointsOf({ ...scene, dragged: NOTHING, resized: NOTHING }, link);
  const box = points === undefined ? undefined : boxAround(points);
  boxes.set(link, { from, to, reroutes, slots, box });
  return box;
}

/** The links in a part of the graph, and those of what is being dragged; a text, so that it can be compared. */
export function linksIn(scene: Scene, region: Box): string {
  const ids: LinkId[] = [];
  const { dragged } = scene;
  for (const link of scene.level.links.values()) {
    const moves = dragged.size > 0 && (dragged.has(flowId.node(link.from.node)) || dragged.has(flowId.node(link.to.node)) || link.via !== undefined);
    const box = moves ? undefined : boxOfLink(scene, link);
    if (moves || (box !== undefined && overlaps(region, box))) ids.push(link.id);
  }
  return ids.join(" ");
}

interface Related {
  readonly key: string;
  readonly ids: ReadonlySet<NodeId>;
}
const related = new WeakMap<Level["links"], Related>();

/** Whether a link belongs to what is hovered: leads to or from it, however far. Links right at it are "near". */
export function relationOf(level: Level, link: Link, hovered: Hovered): "near" | "far" | "none" {
  if (hovered.kind === "link") return hovered.id === link.id ? "near" : "none";
  if (link.from.node === hovered.id || link.to.node === hovered.id) return "near";
  const key = hovered.id;
  let known = related.get(level.links);
  if (known?.key !== key) {
    known = { key, ids: new Set([...reach(level, [hovered.id], "upstream"), ...reach(level, [hovered.id], "downstream")]) };
    related.set(level.links, known);
  }
  return known.ids.has(link.from.node) && known.ids.has(link.to.node) ? "far" : "none";
}
