// Where the picture lies in the editor's window: its zoom, and the place of its upper left corner.

export interface Viewport {
  readonly zoom: number;
  readonly x: number;
  readonly y: number;
}

export interface Area {
  readonly width: number;
  readonly height: number;
}

const MIN_ZOOM = 0.02;
const MAX_ZOOM = 40;
const MARGIN = 24;

/** The whole picture in the middle; small ones are not blown up without bounds. */
export function fit(picture: Area, window: Area): Viewport {
  const room = Math.min((window.width - 2 * MARGIN) / picture.width, (window.height - 2 * MARGIN) / picture.height);
  const zoom = Math.min(8, Math.max(MIN_ZOOM, room));
  return { zoom, x: (window.width - picture.width * zoom) / 2, y: (window.height - picture.height * zoom) / 2 };
}

/** Zoom by a factor; the point of the picture under (x, y) stays there. */
export function zoomAt(view: Viewport, factor: number, x: number, y: number): Viewport {
  const zoom = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, view.zoom * factor));
  const ratio = zoom / view.zoom;
  return { zoom, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio };
}

export const moved = (view: Viewport, dx: number, dy: number): Viewport => ({ ...view, x: view.x + dx, y: view.y + dy });

export const toPicture = (view: Viewport, x: number, y: number): { x: number; y: number } => ({
  x: (x - view.x) / view.zoom,
  y: (y - view.y) / view.zoom,
});

export interface Touch {
  readonly x: number;
  readonly y: number;
}

/** Two fingers move and zoom: what was between them stays between them. */
export function pinched(view: Viewport, before: readonly [Touch, Touch], after: readonly [Touch, Touch]): Viewport {
  const middle = ([one, other]: readonly [Touch, Touch]): Touch => ({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 });
  const span = ([one, other]: readonly [Touch, Touch]): number => Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));
  const [from, to] = [middle(before), middle(after)];
  return zoomAt(moved(view, to.x - from.x, to.y - from.y), span(after) / span(before), to.x, to.y);
}
