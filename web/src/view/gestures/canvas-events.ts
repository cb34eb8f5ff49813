// What the canvas hears: the pointer on nodes and on empty ground, the wheel, keys, things dropped.

import type { OnNodeDrag, ReactFlowProps } from "@xyflow/react";
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
  let timer: ReturnType<typeof setTimeout> | undefined;
  const looks = (): { style: LinkStyle; row: number } => {
    const { linkStyle, density } = settings.getState().values;
    return { style: linkStyle === "hidden" ? "spline" : linkStyle, row: density === "comfortable" ? 28 : 24 };
  };

  const dragging: OnNodeDrag = (event, node) => {
    if (drag !== undefined) moveDrag(controller, drag, node.position, { snap: settings.getState().values.snap !== event.ctrlKey, ...looks() });
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
      onNodeDragStart: (event, node) => {
        const mouse = event as unknown as PointerEvent;
        selectOne(controller, node.id, mouse.shiftKey, true);
        drag = startDrag(controller, node.id, mouse.altKey);
        view.getState().set({ held: node.id, busy: true, hovered: undefined });
        const current = drag;
        const escape = (key: KeyboardEvent): void => {
          if (key.key !== "Escape" || drag !== current) return;
          key.stopPropagation();
          cancelDrag(controller, current);
        };
        window.addEventListener("keydown", escape, { capture: true });
        window.addEventListener("pointerup", () => window.removeEventListener("keydown", escape, { capture: true }), { once: true });
      },
      onNodeDrag: dragging,
      onNodeDragStop: () => {
        if (drag !== undefined) endDrag(controller, drag);
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
        pointerAt.current = { x: event.clientX, y: event.clientY };
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
      onKeyDown: (event) => canvasKey(controller, event),
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

/** Where the pointer was last: the search that a key opens comes up there. */
export const pointerAt: { current: { x: number; y: number } | undefined } = { current: undefined };
