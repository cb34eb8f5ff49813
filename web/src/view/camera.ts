// Moving the view: fit, zoom, pan, and the places between screen and graph.

import type { ReactFlowInstance, Viewport } from "@xyflow/react";
import type { Point } from "../model/document";
import type { Box } from "../model/edit/size";

export const MIN_ZOOM = 0.03;
export const MAX_ZOOM = 2.5;
const MARGIN = 48;

export interface Camera {
  /** Show all of a box, never larger than full size. */
  fit(box: Box | undefined): void;
  /** The view in which all of a box is shown. */
  around(box: Box): Viewport;
  /** Look at a place at once. */
  show(viewport: Viewport): void;
  /** Bring a box into view with as little movement as possible; nothing happens if it is. */
  reveal(box: Box): void;
  zoomBy(factor: number): void;
  zoomTo(zoom: number, at?: Point): void;
  panBy(by: Point): void;
  centre(point: Point): void;
  toGraph(screen: Point): Point;
  /** From the graph to pixels of the canvas. */
  toCanvas(place: Point): Point;
  /** The middle of what is shown, in the graph. */
  middle(): Point;
  bounds(): DOMRect;
}

const calm = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches || document.documentElement.dataset["motion"] === "reduced";

export function createCamera(flow: ReactFlowInstance, element: () => HTMLElement | null): Camera {
  const bounds = (): DOMRect => element()?.getBoundingClientRect() ?? new DOMRect(0, 0, 1, 1);
  const glide = (): { duration?: number } => (calm() ? {} : { duration: 150 });
  const limit = (zoom: number): number => Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, zoom));
  const toGraph = (screen: Point): Point => flow.screenToFlowPosition(screen);
  const zoomTo = (wanted: number, screen?: Point, slowly = false): void => {
    const { x, y, zoom } = flow.getViewport();
    const { left, top, width, height } = bounds();
    const at = screen === undefined ? { x: width / 2, y: height / 2 } : { x: screen.x - left, y: screen.y - top };
    const next = limit(wanted);
    const share = next / zoom;
    void flow.setViewport({ x: at.x - (at.x - x) * share, y: at.y - (at.y - y) * share, zoom: next }, slowly ? glide() : {});
  };
  const around = (box: Box): Viewport => {
    const { width, height } = bounds();
    const zoom = limit(Math.min((width - 2 * MARGIN) / box.width, (height - 2 * MARGIN) / box.height, 1));
    const [x, y] = [width / 2 - (box.x + box.width / 2) * zoom, height / 2 - (box.y + box.height / 2) * zoom];
    return { x: Math.round(x), y: Math.round(y), zoom };
  };
  return {
    bounds,
    toGraph,
    around,
    toCanvas: (place) => {
      const { x, y, zoom } = flow.getViewport();
      return { x: place.x * zoom + x, y: place.y * zoom + y };
    },
    fit: (box) => {
      if (box !== undefined) void flow.setViewport(around(box), glide());
    },
    show: (viewport) => void flow.setViewport(viewport),
    reveal: (box) => {
      const { x, y, zoom } = flow.getViewport();
      const { width, height } = bounds();
      const [left, top] = [box.x * zoom + x, box.y * zoom + y];
      const [right, bottom] = [left + box.width * zoom, top + box.height * zoom];
      const dx = left < MARGIN ? MARGIN - left : right > width - MARGIN ? width - MARGIN - right : 0;
      const dy = top < MARGIN ? MARGIN - top : bottom > height - MARGIN ? height - MARGIN - bottom : 0;
      if (dx !== 0 || dy !== 0) void flow.setViewport({ x: x + dx, y: y + dy, zoom }, glide());
    },
    zoomBy: (factor) => zoomTo(flow.getViewport().zoom * factor, undefined, true),
    zoomTo,
    panBy: (by) => {
      const { x, y, zoom } = flow.getViewport();
      void flow.setViewport({ x: x + by.x, y: y + by.y, zoom });
    },
    centre: (point) => {
      const { zoom } = flow.getViewport();
      const { width, height } = bounds();
      void flow.setViewport({ x: width / 2 - point.x * zoom, y: height / 2 - point.y * zoom, zoom });
    },
    middle: () => {
      const { left, top, width, height } = bounds();
      return toGraph({ x: left + width / 2, y: top + height / 2 });
    },
  };
}

