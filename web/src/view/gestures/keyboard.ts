// Keys of the canvas itself: from node to node along the links, into a node and out of it. All others are commands.

import type { KeyboardEvent } from "react";
import { executionOrder, linksAround } from "../../model/edit/graph";
import { moveBy, nudgeGesture } from "../../model/edit/nodes";
import { boxOf, SNAP } from "../../model/edit/size";
import type { NodeId } from "../../model/ids";
import { cancel } from "../connect";
import type { Controller } from "../controller";
import { flowId, named } from "../names";

const ARROWS: Readonly<Record<string, { readonly x: number; readonly y: number }>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

const typed = (target: Element): boolean =>
  target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.closest("[role=slider],[role=listbox],[role=menu],[role=spinbutton],[role=combobox]") !== null;

export function canvasKey(controller: Controller, event: KeyboardEvent<HTMLElement>, isPointing: boolean): void {
  const { target } = event;
  if (event.defaultPrevented || !isElement(target)) return;
  if (event.key === "Escape") return escape(controller, event, target);
  if (!typed(target) && !event.ctrlKey && !event.metaKey) plainKey(controller, event, target, isPointing);
}

function plainKey(controller: Controller, event: KeyboardEvent<HTMLElement>, target: HTMLElement | SVGElement, isPointing: boolean): void {
  const arrow = ARROWS[event.key];
  if (arrow !== undefined) return arrowKey(controller, event, arrow);
  const isItem = target.classList.contains("react-flow__node");
  const node = isItem ? nodeOf(target) : undefined;
  if (event.key === "Tab" && !isPointing && (isItem || target === event.currentTarget)) return walk(controller, event, node);
  if (event.key === "Enter" && node !== undefined && !event.altKey) enter(controller, event, node);
}

const isElement = (target: EventTarget): target is HTMLElement | SVGElement => target instanceof HTMLElement || target instanceof SVGElement;

function nodeOf(target: HTMLElement | SVGElement): NodeId | undefined {
  const item = named(target.dataset["id"] ?? "");
  return item.kind === "node" ? item.id : undefined;
}

/** To the next node; with Shift or Alt, the selection itself moves. */
function arrowKey(controller: Controller, event: KeyboardEvent, arrow: { readonly x: number; readonly y: number }): void {
  event.preventDefault();
  if (event.shiftKey || event.altKey) return nudge(controller, arrow, event.shiftKey ? SNAP * 4 : SNAP);
  const next = neighbour(controller, arrow);
  if (next !== undefined) focusNode(controller, next);
}

/** Out of a field to its node; out of a link that is drawn; else out of the subgraph, once nothing is selected. */
function escape(controller: Controller, event: KeyboardEvent, target: Element): void {
  if (controller.view.getState().connecting !== undefined) {
    event.preventDefault();
    return cancel(controller);
  }
  const node = target.closest<HTMLElement>(".react-flow__node");
  if (node !== null && node !== target) {
    event.preventDefault();
    node.focus({ preventScroll: true });
    return;
  }
  const { selection } = controller.shown();
  const nothing = Object.values(selection).every((ids: ReadonlySet<unknown>) => ids.size === 0);
  if (nothing && controller.leave()) event.preventDefault();
}

/** Into a subgraph, or to the first field of the node. */
function enter(controller: Controller, event: KeyboardEvent, id: NodeId): void {
  event.preventDefault();
  if (controller.enter(id)) return;
  const field = (event.target as Element).querySelector<HTMLElement>(".w-widgets :is(button,input,textarea,[tabindex='0']):not(.n-dot),.n-note-text");
  field?.focus();
}

/** Tab goes through the nodes in the order in which they run; after the last it leaves the canvas. */
function walk(controller: Controller, event: KeyboardEvent, from: NodeId | undefined): void {
  const order = executionOrder(controller.shown().level);
  const place = from === undefined ? -1 : order.indexOf(from);
  const next = event.shiftKey ? (from === undefined ? undefined : order[place - 1]) : order[place + 1];
  event.stopPropagation(); // Tab is a command, too, where no node has the focus
  if (next === undefined) {
    (event.currentTarget as HTMLElement).focus({ preventScroll: true });
    return leaveCanvas(event);
  }
  event.preventDefault();
  focusNode(controller, next);
}

/** So that the browser goes on behind (or before) the canvas and not to the fields of its nodes. */
function leaveCanvas(event: KeyboardEvent): void {
  const canvas = event.currentTarget as HTMLElement;
  const all = [...document.querySelectorAll<HTMLElement>("a[href],button,input,textarea,select,[tabindex='0']")].filter(
    (each) => each.tabIndex >= 0 && !each.hasAttribute("disabled") && !canvas.contains(each) && each.offsetParent !== null,
  );
  const behind = all.filter((each) => (canvas.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0);
  const before = all.filter((each) => !behind.includes(each));
  const next = event.shiftKey ? before.at(-1) : (behind[0] ?? before[0]);
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}

export function focusNode(controller: Controller, id: NodeId): void {
  const wanted = flowId.node(id);
  controller.select({ nodes: new Set([id]) });
  controller.view.getState().set({ focused: wanted });
  controller.reveal(wanted);
  // It may have to be drawn first.
  requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-canvas] [data-id="${CSS.escape(wanted)}"]`)?.focus({ preventScroll: true }));
}

/** The linked node in that direction: sources to the left, targets to the right, else the nearest one that way. */
function neighbour(controller: Controller, way: { readonly x: number; readonly y: number }): NodeId | undefined {
  const { document, level, types, selection } = controller.shown();
  const [from] = [...selection.nodes].slice(-1);
  if (from === undefined || !level.nodes.has(from)) return executionOrder(level)[0];
  const middle = (id: NodeId): { x: number; y: number } => {
    const node = level.nodes.get(id);
    if (node === undefined) return { x: Infinity, y: Infinity };
    const box = boxOf(document, node, types);
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  };
  const start = middle(from);
  const { into, outOf } = linksAround(level, from);
  const linked = way.x < 0 ? into.map((link) => link.from.node) : way.x > 0 ? outOf.map((link) => link.to.node) : [];
  const far = (id: NodeId): number => Math.hypot(middle(id).x - start.x, middle(id).y - start.y);
  const [nearest] = linked.filter((id) => level.nodes.has(id)).sort((a, b) => far(a) - far(b));
  return nearest ?? nearestThatWay(level.nodes.keys(), from, way, middle);
}

type Way = { readonly x: number; readonly y: number };

function nearestThatWay(ids: Iterable<NodeId>, from: NodeId, way: Way, middle: (id: NodeId) => Way): NodeId | undefined {
  const start = middle(from);
  let best: { id: NodeId; far: number } | undefined;
  for (const id of ids) {
    const at = middle(id);
    const along = (at.x - start.x) * way.x + (at.y - start.y) * way.y;
    const aside = Math.abs((at.x - start.x) * way.y) + Math.abs((at.y - start.y) * way.x);
    if (id === from || along <= 1 || aside > along * 2) continue;
    const far = along + aside * 2;
    if (best === undefined || far < best.far) best = { id, far };
  }
  return best?.id;
}

function nudge(controller: Controller, way: { readonly x: number; readonly y: number }, by: number): void {
  const { level, selection } = controller.shown();
  controller.edit(moveBy(level, selection.nodes, { x: way.x * by, y: way.y * by }), "move", nudgeGesture(selection.nodes));
}
