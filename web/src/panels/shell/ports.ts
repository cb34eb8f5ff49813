// Areas that are built beside the shell, as narrow as the shell needs them; here they are bound to it.

import type { Point } from "../../model/document";
import { instancePath } from "../../model/edit/subgraph";
import type { Controller } from "../../view/controller";
import type { ViewService } from "../../commands/services";

/** The canvas that is shown now; the view sets it when it mounts. */
export interface CanvasPort {
  current: Controller | undefined;
}

/** A step of zooming by a key. */
const STEP = 1.25;

export const createCanvasPort = (): CanvasPort => ({ current: undefined });

export const viewService = (port: CanvasPort, pointer: { readonly at: Point | undefined }): ViewService => ({
  fit: () => port.current?.fit("all"),
  fitSelection: () => port.current?.fit("selection"),
  zoom: (by) => {
    const camera = port.current?.camera;
    if (by === "full") camera?.zoomTo(1);
    else camera?.zoomBy(by === "in" ? STEP : 1 / STEP);
  },
  openSearch: () => port.current?.openSearch(),
  instances: () => {
    if (port.current === undefined) return [];
    const { document, path } = port.current.documents.getState();
    return instancePath(document, path, port.current.view.getState().entered);
  },
  place: () => {
    const camera = port.current?.camera;
    if (camera === undefined) return undefined;
    const { left, right, top, bottom } = camera.bounds();
    const { at } = pointer;
    const isOver = at !== undefined && at.x > left && at.x < right && at.y > top && at.y < bottom;
    const { x, y } = isOver ? camera.toGraph(at) : camera.middle();
    return { x: Math.round(x), y: Math.round(y) };
  },
});

/** Where the pointer is on the page; nothing is drawn for it. */
export function followPointer(): { readonly at: Point | undefined } {
  const pointer: { at: Point | undefined } = { at: undefined };
  const moved = (event: PointerEvent): void => {
    pointer.at = { x: event.clientX, y: event.clientY };
  };
  window.addEventListener("pointermove", moved, { passive: true });
  window.addEventListener("pointerdown", moved, { passive: true });
  return pointer;
}
