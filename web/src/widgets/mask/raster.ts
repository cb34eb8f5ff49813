// The mask as bytes, one a pixel (255: masked), and what brushes do to it. A stroke takes the greater (or, erasing, the
// lesser) of what is there and what it brings: passing twice over a place does not build up, and no order matters.

export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A place of a stroke in pixels of the picture, with the brush's radius there (pen pressure changes it). */
export interface Dab {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

export const newMask = (width: number, height: number): Mask => ({ width, height, data: new Uint8Array(width * height) });
export const wholeOf = ({ width, height }: Mask): Rect => ({ x: 0, y: 0, width, height });
export const isEmpty = (rect: Rect): boolean => rect.width <= 0 || rect.height <= 0;

export function union(left: Rect | undefined, right: Rect): Rect {
  if (left === undefined || isEmpty(left)) return right;
  if (isEmpty(right)) return left;
  const [x, y] = [Math.min(left.x, right.x), Math.min(left.y, right.y)];
  const width = Math.max(left.x + left.width, right.x + right.width) - x;
  const height = Math.max(left.y + left.height, right.y + right.height) - y;
  return { x, y, width, height };
}

function clip(mask: Mask, left: number, top: number, right: number, bottom: number): Rect {
  const [x, y] = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top))];
  const width = Math.min(mask.width, Math.ceil(right)) - x;
  const height = Math.min(mask.height, Math.ceil(bottom)) - y;
  return { x, y, width: Math.max(0, width), height: Math.max(0, height) };
}

/** Paint or erase from one place to the next. `hardness` is the part of the radius that is full. Answers what changed. */
export function paint(mask: Mask, from: Dab, to: Dab, hardness: number, erases: boolean): Rect {
  const reach = Math.max(from.radius, to.radius) + 1;
  const rect = clip(
    mask,
    Math.min(from.x, to.x) - reach,
    Math.min(from.y, to.y) - reach,
    Math.max(from.x, to.x) + reach,
    Math.max(from.y, to.y) + reach,
  );
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    for (let x = rect.x; x < rect.x + rect.width; x++) {
      // The centre of the pixel, and the point of the stroke nearest to it.
      const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
      const along = length === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / length));
      const distance = Math.hypot(px - along * dx, py - along * dy);
      const strength = coverage(distance, from.radius + along * (to.radius - from.radius), hardness);
      if (strength === 0) continue;
      const at = y * mask.width + x;
      const before = mask.data[at] ?? 0;
      mask.data[at] = erases ? Math.min(before, 255 - strength) : Math.max(before, strength);
    }
  }
  return rect;
}

/** How much of a pixel the brush covers, 0 to 255: full inside, smooth towards the rim, at least a pixel of softness. */
export function coverage(distance: number, radius: number, hardness: number): number {
  const outer = radius + 0.5;
  const inner = Math.min(radius * hardness, outer - 1);
  if (distance >= outer) return 0;
  if (distance <= inner) return 255;
  const part = (outer - distance) / (outer - inner);
  return Math.round(255 * part * part * (3 - 2 * part));
}

const HALF = 128;

/** A flood under way: the mask, and the bounds of what was filled so far. */
interface Flood {
  readonly mask: Mask;
  readonly erases: boolean;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const isInside = ({ mask, erases }: Flood, at: number): boolean => (mask.data[at] ?? 0) >= HALF === erases;

/** Fill the area around a place that is not masked (or, erasing, is) up to its border. Answers what changed. */
export function flood(mask: Mask, startX: number, startY: number, erases: boolean): Rect {
  const now: Flood = { mask, erases, left: mask.width, right: -1, top: mask.height, bottom: -1 };
  const [x, y] = [Math.floor(startX), Math.floor(startY)];
  const waiting = x < 0 || y < 0 || x >= mask.width || y >= mask.height ? [] : [y * mask.width + x];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (isInside(now, next)) fillRun(now, next, waiting);
  }
  if (now.right < 0) return { x: 0, y: 0, width: 0, height: 0 };
  return { x: now.left, y: now.top, width: now.right - now.left + 1, height: now.bottom - now.top + 1 };
}

/** Fill the run of pixels around `at` in its row; what lies above and below waits. */
function fillRun(now: Flood, at: number, waiting: number[]): void {
  const { width, height, data } = now.mask;
  const row = at - (at % width);
  let [first, last] = [at, at];
  while (first > row && isInside(now, first - 1)) first--;
  while (last < row + width - 1 && isInside(now, last + 1)) last++;
  data.fill(now.erases ? 0 : 255, first, last + 1);
  [now.left, now.right] = [Math.min(now.left, first - row), Math.max(now.right, last - row)];
  [now.top, now.bottom] = [Math.min(now.top, row / width), Math.max(now.bottom, row / width)];
  if (row > 0) pushRuns(now, waiting, first - width, last - width);
  if (row < width * (height - 1)) pushRuns(now, waiting, first + width, last + width);
}

/** One place of each run of pixels that are inside. */
function pushRuns(now: Flood, waiting: number[], first: number, last: number): void {
  let wasInside = false;
  for (let at = first; at <= last; at++) {
    const inside = isInside(now, at);
    if (inside && !wasInside) waiting.push(at);
    wasInside = inside;
  }
}

export function invert(mask: Mask): void {
  for (let at = 0; at < mask.data.length; at++) mask.data[at] = 255 - (mask.data[at] ?? 0);
}

/** The bytes of a part of the mask, row by row. */
export function crop(mask: Mask, { x, y, width, height }: Rect): Uint8Array {
  const part = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const start = (y + row) * mask.width + x;
    part.set(mask.data.subarray(start, start + width), row * width);
  }
  return part;
}

export function put(mask: Mask, { x, y, width, height }: Rect, part: Uint8Array): void {
  for (let row = 0; row < height; row++) {
    mask.data.set(part.subarray(row * width, (row + 1) * width), (y + row) * mask.width + x);
  }
}
