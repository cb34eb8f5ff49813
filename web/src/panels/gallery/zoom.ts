// Zoom and pan of a picture, as values. `scale` 1 is the picture fitted into its place; `x` and `y` move its middle.

export interface Zoom {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

export const FITTED: Zoom = { scale: 1, x: 0, y: 0 };
const MOST = 32;
/** Nearer to fitted than this counts as fitted. */
const SNAP = 1.02;

/** Zoom by `factor` so that the point (from the middle of the place, in pixels) stays where it is. */
export function zoomAt(zoom: Zoom, factor: number, x: number, y: number): Zoom {
  const scale = Math.min(MOST, zoom.scale * factor);
  if (scale <= SNAP) return FITTED;
  const ratio = scale / zoom.scale;
  return { scale, x: x - (x - zoom.x) * ratio, y: y - (y - zoom.y) * ratio };
}

export const panBy = (zoom: Zoom, x: number, y: number): Zoom =>
  zoom.scale === 1 ? zoom : { ...zoom, x: zoom.x + x, y: zoom.y + y };

/** Keep some of the picture in sight: its middle stays within the place, widened by the zoom. */
export function kept(zoom: Zoom, width: number, height: number): Zoom {
  const [wide, high] = [(width * zoom.scale) / 2, (height * zoom.scale) / 2];
  return { ...zoom, x: Math.max(-wide, Math.min(wide, zoom.x)), y: Math.max(-high, Math.min(high, zoom.y)) };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** How large a picture is drawn when it is fitted into a place: 1 is a pixel for each of its own. */
export const fittedScale = (picture: Size, place: Size): number => Math.min(place.width / picture.width, place.height / picture.height) || 1;
