// Strokes over empty ground: a box that selects, a line that cuts links. Touch pans; long touches open the menu.

import type { PointerEvent as ReactPointerEvent } from "react";
import type { Point } from "../../model/document";
import { frameBox } from "../../model/edit/frames";
import { boxOf, holds, type Box } from "../../model/edit/size";
import type { FrameId, LinkId, NodeId, RerouteId } from "../../model/ids";
import type { Selection } from "../../state/documents";
import { edgePush } from "../connect";
import { swallowClick } from "./click";
import type { Controller } from "../controller";
import { cross, overlaps, pieces, pointsOf, type LinkStyle } from "../links/geometry";
import { NOTHING } from "../view-store";

const MOVED = 4;

export type Stroke = "select" | "cut";

/** What pressing on empty ground begins; undefined leaves it to panning. */
export function strokeOf(event: ReactPointerEvent, navigation: "figma" | "classic", spaceHeld: boolean): Stroke | undefined {
  if (event.button !== 0 || event.pointerType === "touch" || spaceHeld) return undefined;
  if (event.altKey) return "cut";
  const asks = event.shiftKey || event.ctrlKey || event.metaKey;
  return navigation === "figma" || asks ? "select" : undefined;
}

export interface StrokeOptions {
  readonly stroke: Stroke;
  readonly style: LinkStyle;
  readonly row: number;
}

export function startStroke(controller: Controller, event: ReactPointerEvent, options: StrokeOptions): void {
  const { camera, view } = controller;
  const begun = { x: event.clientX, y: event.clientY };
  const from = camera.toGraph(begun);
  const before = event.shiftKey || event.ctrlKey || event.metaKey ? controller.shown().selection : undefined;
  const stop = new AbortController();
  let screen = begun;
  let moved = false;
  const path: Point[] = [from];
  const show = (): void => {
    const to = camera.toGraph(screen);
    if (options.stroke === "cut") {
      path.push(to);
      view.getState().set({ cut: [...path] });
      return;
    }
    const box = boxOfPoints(from, to);
    view.getState().set({ marquee: box });
    controller.documents.getState().select(merged(within(controller, box), before));
  };
  const pan = (): void => {
    if (stop.signal.aborted) return;
    const by = edgePush(screen, camera.bounds());
    if (moved && options.stroke === "select" && (by.x !== 0 || by.y !== 0)) {
      camera.panBy(by);
      show();
    }
    requestAnimationFrame(pan);
  };
  const end = (kept: boolean): void => {
    stop.abort();
    const cut = view.getState().cut;
    view.getState().set({ marquee: undefined, cut: undefined });
    if (!moved) return;
    swallowClick();
    if (kept && cut !== undefined) controller.cut(crossed(controller, cut, options));
  };
  const on = <K extends keyof WindowEventMap>(name: K, heard: (event: WindowEventMap[K]) => void): void =>
    window.addEventListener(name, heard, { signal: stop.signal, capture: true });
  on("pointermove", (next) => {
    if (next.pointerId !== event.pointerId) return;
    screen = { x: next.clientX, y: next.clientY };
    moved ||= Math.hypot(screen.x - begun.x, screen.y - begun.y) > MOVED;
    if (moved) show();
  });
  on("pointerup", (next) => next.pointerId === event.pointerId && end(true));
  on("pointercancel", () => end(false));
  on("keydown", (key) => {
    if (key.key !== "Escape") return;
    key.stopPropagation();
    end(false);
  });
  requestAnimationFrame(pan);
}

const boxOfPoints = (a: Point, b: Point): Box => ({
  x: Math.min(a.x, b.x),
  y: Math.min(a.y, b.y),
  width: Math.abs(a.x - b.x),
  height: Math.abs(a.y - b.y),
});

/** Nodes that the box touches; frames and reroutes that are wholly in it. */
function within(controller: Controller, box: Box): Selection {
  const { document, level, types } = controller.shown();
  const nodes = new Set<NodeId>();
  for (const node of level.nodes.values()) if (overlaps(box, boxOf(document, node, types))) nodes.add(node.id);
  const frames = new Set<FrameId>();
  for (const frame of level.frames.values()) {
    const { x, y, width, height } = frameBox(frame);
    if (holds(box, { x, y }) && holds(box, { x: x + width, y: y + height })) frames.add(frame.id);
  }
  const reroutes = new Set<RerouteId>();
  for (const reroute of level.reroutes.values()) if (holds(box, reroute.position)) reroutes.add(reroute.id);
  return { nodes, frames, reroutes, links: new Set() };
}

const merged = (now: Selection, before: Selection | undefined): Selection =>
  before === undefined
    ? now
    : {
        nodes: new Set([...now.nodes, ...before.nodes]),
        frames: new Set([...now.frames, ...before.frames]),
        reroutes: new Set([...now.reroutes, ...before.reroutes]),
        links: before.links,
      };

function crossed(controller: Controller, stroke: readonly Point[], { style, row }: StrokeOptions): LinkId[] {
  const { document, level, types } = controller.shown();
  const scene = { document, level, types, row, anchors: controller.view.getState().anchors, dragged: NOTHING, resized: NOTHING };
  return [...level.links.values()].flatMap((link) => {
    const points = pointsOf(scene, link);
    return points !== undefined && cross(pieces(points, style), stroke) ? [link.id] : [];
  });
}
