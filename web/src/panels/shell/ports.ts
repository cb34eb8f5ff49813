// Areas that are built beside the shell, as narrow as the shell needs them; here they are bound to it.

import type { Controller } from "../../view/controller";
import type { ViewService } from "../../commands/services";

/** The canvas that is shown now; the view sets it when it mounts. */
export interface CanvasPort {
  current: Controller | undefined;
}

/** A step of zooming by a key. */
const STEP = 1.25;

export const createCanvasPort = (): CanvasPort => ({ current: undefined });

export const viewService = (port: CanvasPort): ViewService => ({
  fit: () => port.current?.fit("all"),
  fitSelection: () => port.current?.fit("selection"),
  zoom: (by) => {
    const camera = port.current?.camera;
    if (by === "full") camera?.zoomTo(1);
    else camera?.zoomBy(by === "in" ? STEP : 1 / STEP);
  },
  openSearch: () => port.current?.openSearch(),
});
