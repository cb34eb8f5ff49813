// What the canvas hears: the pointer on nodes and on empty ground, the wheel, keys, things dropped.

import type { ReactFlowProps } from "@xyflow/react";
import type { HTMLAttributes } from "react";
import type { SettingsStore } from "../../state/settings";
import type { WorkspaceStore } from "../../state/workspace";
import { cancel, finish } from "../connect";
import type { Controller } from "../controller";
import type { LinkStyle } from "../links/geometry";
import { named } from "../names";
import type { MenuAt } from "../view-store";
import { cancelDrag, endDrag, moveDrag, selectOne, startDrag, type Drag } from "./drag";
import { canvasKey } from "./keyboard";
import { startStroke, strokeOf } from "./pane";
import { attachSurface } from "./surface";

const HOVER_MS = 90;
const THRESHOLD = 3;

const placeIn = (event: MouseEvent | TouchEvent | React.MouseEvent): { x: number; y: number } => {
  const { clientX, clientY } = "touches" in event ? (event.touches[0] ?? { clientX: 0, clientY: 0 }) : event;
  return { x: clientX, y: clientY };
};

export interface CanvasEvents {
  readonly attach: (element: HTMLDivElement | null) => (() => void) | undefined;
  readonly surface: HTMLAttributes<HTMLDivElement>;
  readonly flow: Pick<ReactFlowProps, "onNodeClick" | "onNodeDragStart" | "onNodeDrag" | "onNodeDragStop" | "onNodeMouseEnter" | "onNodeMouseLeave" | "onPaneClick">;
}

/** What belongs to something on the canvas, or lies over it, is no empty ground. */
const isGround = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest(".react-flow__pane") !== null && target.closest(".react-flow__node,.l-hit,.l-middle") === null;

const takesText = (target: EventTarget | null): boolean => target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;

function menuOn(target: Element): MenuAt["on"] {
  const node = target.closest<HTMLElement>(".react-flow__node")?.dataset["id"];
  const link = target.closest<SVGElement>("[data-link]")?.dataset["link"];
  if (link !== undefined) return { kind: "link", id: link };
  if (node === undefined) return { kind: "pane" };
  const item = named(node);
  return item.kind === "end" ? { kind: "pane" } : { kind: item.kind, id: item.id };
}

/** Made once for a canvas: settings and types are read when something happens. */
export function createCanvasEvents(controller: Controller, settings: SettingsStore, workspace: WorkspaceStore): CanvasEvents {
  const { view } = controller;
  const spaceHeld = { current: false };
  let drag: Drag | undefined;
  let pressed = { x: 0, y: 0 };
  // Tab walks through the nodes for who came by keys; who points gets the search that Tab is for everywhere else.
  let isPointing = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const looks = (): { style: LinkStyle; row: number } => {
    const { linkStyle, density } = settings.getState().values;
    return { style: linkStyle === "hidden" ? "spline" : linkStyle, row: density === "comfortable" ? 28 : 24 };
  };

  const beganToMove = (event: MouseEvent | TouchEvent): boolean => {
    const at = placeIn(event);
    return Math.hypot(at.x - pressed.x, at.y - pressed.y) >= THRESHOLD;
  };
  const begin = (event: MouseEvent | TouchEvent, id: string): Drag => {
    selectOne(controller, id, event.shiftKey, true);
    const begun = startDrag(controller, id, event.altKey);
    view.getState().set({ held: id, busy: true, hovered: undefined });
    const escape = (key: KeyboardEvent): void => {
      if (key.key !== "Escape" || drag !== begun) return;
      key.stopPropagation();
      cancelDrag(controller, begun);
    };
    window.addEventListener("keydown", escape, { capture: true });
    window.addEventListener("pointerup", () => window.removeEventListener("keydown", escape, { capture: true }), { once: true });
    return begun;
  };
  const hover = (id: string | undefined): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const state = view.getState();
      if (state.connecting !== undefined || state.dragged.size > 0) return;
      const item = id === undefined ? undefined : named(id);
      const hovered = item?.kind === "node" ? ({ kind: "node", id: item.id } as const) : undefined;
      if (hovered !== undefined || state.hovered?.kind === "node") state.set({ hovered });
    }, HOVER_MS);
  };

  return {
    attach: attachSurface(controller, spaceHeld),
    flow: {
      onNodeClick: (event, node) => {
        view.getState().set({ menu: undefined });
        const adds = event.shiftKey || event.ctrlKey || event.metaKey;
        if (named(node.id).kind !== "end") selectOne(controller, node.id, adds, takesText(event.target));
      },
      // Pressing is not dragging yet: React Flow begins at once, so that the node stays under the pointer to the pixel.
      onNodeDragStart: (event) => {
        pressed = placeIn(event);
        drag = undefined;
      },
      onNodeDrag: (event, node) => {
        if (drag === undefined && !beganToMove(event)) return;
        drag ??= begin(event, node.id);
        moveDrag(controller, drag, node.position, { snap: settings.getState().values.snap !== event.ctrlKey, ...looks() });
      },
      onNodeDragStop: () => {
        if (drag === undefined) return;
        endDrag(controller, drag);
        drag = undefined;
        view.getState().set({ held: undefined, busy: false });
      },
      onNodeMouseEnter: (event, node) => event.buttons === 0 && hover(node.id),
      onNodeMouseLeave: () => hover(undefined),
      onPaneClick: (event) => {
        view.getState().set({ menu: undefined, search: undefined });
        if (!event.shiftKey && !event.ctrlKey && !event.metaKey) controller.select({});
      },
    },
    surface: {
      onPointerDownCapture: (event) => {
        isPointing = true;
        if (!isGround(event.target)) return;
        const { connecting } = view.getState();
        if (connecting?.byTap === true && event.button === 0) {
          event.preventDefault();
          return finish(controller, connecting, { x: event.clientX, y: event.clientY });
        }
        const stroke = strokeOf(event, settings.getState().values.navigation, spaceHeld.current);
        if (stroke === undefined) return;
        event.preventDefault(); // React Flow hears no press, so it does not pan
        event.currentTarget.focus({ preventScroll: true });
        startStroke(controller, event, { stroke, ...looks() });
      },
      onPointerMove: (event) => {
        const { connecting, set } = view.getState();
        if (connecting?.byTap === true) set({ pointer: controller.camera.toGraph({ x: event.clientX, y: event.clientY }) });
        controller.pointerAt({ x: event.clientX, y: event.clientY });
      },
      onDoubleClick: (event) => {
        if (isGround(event.target)) controller.openSearch({ x: event.clientX, y: event.clientY });
      },
      onContextMenu: (event) => {
        if (!(event.target instanceof Element) || takesText(event.target)) return;
        event.preventDefault();
        if (view.getState().connecting !== undefined) return cancel(controller);
        const on = menuOn(event.target);
        const wrapper = event.target.closest<HTMLElement>(".react-flow__node")?.dataset["id"];
        if (wrapper !== undefined) selectOne(controller, wrapper, false, true);
        else if (on.kind === "link") controller.select({ links: new Set([on.id as never]) });
        controller.openMenu({ x: event.clientX, y: event.clientY }, on);
      },
      onKeyDown: (event) => {
        if (event.key.startsWith("Arrow")) isPointing = false;
        canvasKey(controller, event, isPointing);
      },
      onBlur: (event) => {
        if (!event.currentTarget.contains(event.relatedTarget)) isPointing = false;
      },
      onFocus: (event) => {
        const id = event.target.closest<HTMLElement>(".react-flow__node")?.dataset["id"];
        if (view.getState().focused !== id) view.getState().set({ focused: id });
      },
      onDragOver: (event) => {
        if (event.dataTransfer.types.includes("application/x-easel-node")) event.preventDefault();
      },
      onDrop: (event) => {
        const type = workspace.getState().types.get(event.dataTransfer.getData("application/x-easel-node"));
        if (type === undefined) return;
        event.preventDefault();
        controller.addAt(type, { x: event.clientX, y: event.clientY });
      },
    },
  };
}
