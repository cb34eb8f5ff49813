// The gesture of drawing a link: from a dot, over the canvas, to a dot, a node's body, or empty ground.

import type { PointerEvent as ReactPointerEvent } from "react";
import type { End, Point } from "../model/document";
import type { Side } from "../model/edit/slots";
import type { Controller } from "./controller";
import { swallowClick } from "./gestures/click";
import { named } from "./names";
import type { Connecting } from "./view-store";

const TAP = 5;
const EDGE = 36;
const SPEED = 12;

/** Start at a dot. A tap leaves the link hanging; the next tap ends it. */
export function startConnect(controller: Controller, event: ReactPointerEvent, end: End, side: Side): void {
  if (event.button !== 0) return;
  event.preventDefault();
  event.stopPropagation();
  const waiting = controller.view.getState().connecting;
  const key = `${side}\n${end.node}\n${end.slot}`;
  if (waiting?.byTap === true && waiting.targets.has(key)) return controller.finishOn(waiting, key);
  const connecting = controller.begin(end, side, false, true);
  if (connecting === undefined) return;
  const start = { x: event.clientX, y: event.clientY };
  follow(controller, connecting, start, event.pointerId, (finished, screen) => {
    if (Math.hypot(screen.x - start.x, screen.y - start.y) < TAP) return controller.begin(end, side, true, false);
    finish(controller, finished, screen);
  });
}

/** What lies under a point: the end, and the node. */
function under(screen: Point): { key: string | undefined; node: string | undefined } {
  const element = document.elementFromPoint(screen.x, screen.y);
  const key = element?.closest("[data-end]")?.getAttribute("data-end") ?? undefined;
  const node = element?.closest(".react-flow__node")?.getAttribute("data-id") ?? undefined;
  return { key: key === undefined ? undefined : JSON.parse(key) as string, node };
}

export function finish(controller: Controller, connecting: Connecting, screen: Point): void {
  const { key, node } = under(screen);
  if (key !== undefined && connecting.targets.has(key)) return controller.finishOn(connecting, key);
  const found = node === undefined ? undefined : named(node);
  if (found?.kind === "node") {
    if (found.id === connecting.end.node) return cancel(controller);
    controller.finishOnNode(connecting, found.id);
    return;
  }
  if (found?.kind === "end" || found?.kind === "reroute") return cancel(controller);
  controller.finishOnNothing(connecting, screen);
}

export const cancel = (controller: Controller): void =>
  controller.view.getState().set({ connecting: undefined, over: undefined, pointer: undefined });

/** Follow the pointer until it is let go; at the edge, the view moves along. */
function follow(controller: Controller, connecting: Connecting, start: Point, pointer: number, ended: (connecting: Connecting, screen: Point) => void): void {
  const { view, camera } = controller;
  const stop = new AbortController();
  let screen = start;
  const show = (): void => {
    const { key, node } = under(screen);
    const hit = key !== undefined && connecting.targets.has(key) ? key : undefined;
    view.getState().set({ pointer: camera.toGraph(screen), over: hit ?? (node === undefined ? undefined : node) });
  };
  const pan = (): void => {
    if (stop.signal.aborted) return;
    const by = edgePush(screen, camera.bounds());
    if (by.x !== 0 || by.y !== 0) {
      camera.panBy(by);
      show();
    }
    requestAnimationFrame(pan);
  };
  const moved = (event: PointerEvent): void => {
    if (event.pointerId !== pointer) return;
    screen = { x: event.clientX, y: event.clientY };
    show();
  };
  const released = (event: PointerEvent): void => {
    if (event.pointerId !== pointer) return;
    stop.abort();
    swallowClick();
    ended(connecting, { x: event.clientX, y: event.clientY });
  };
  const lost = (): void => {
    stop.abort();
    cancel(controller);
  };
  window.addEventListener("pointermove", moved, { signal: stop.signal });
  window.addEventListener("pointerup", released, { signal: stop.signal });
  window.addEventListener("pointercancel", lost, { signal: stop.signal });
  window.addEventListener("keydown", (event) => event.key === "Escape" && lost(), { signal: stop.signal, capture: true });
  requestAnimationFrame(pan);
}

/** How far the view moves in one frame when the pointer is at its edge. */
export function edgePush(screen: Point, bounds: { left: number; right: number; top: number; bottom: number }): Point {
  const push = (from: number, low: number, high: number): number =>
    from < low + EDGE ? SPEED : from > high - EDGE ? -SPEED : 0;
  return { x: push(screen.x, bounds.left, bounds.right), y: push(screen.y, bounds.top, bounds.bottom) };
}
