// A mask being painted: the tools, the strokes, undo. It knows nothing of the page, and it outlives the editor's window,
// so that closing a tab or a window of the page never takes a stroke away.

import { crop, flood, invert, isEmpty, newMask, paint, put, union, wholeOf, type Dab, type Mask, type Rect } from "./raster";

export type Tool = "brush" | "eraser" | "fill";

export interface Settings {
  readonly tool: Tool;
  /** The radius in pixels of the picture. */
  readonly size: number;
  readonly hardness: number;
}

interface Patch {
  readonly rect: Rect;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export const SIZES = { min: 1, max: 500 } as const;
const UNREACHABLE: Patch = { rect: { x: 0, y: 0, width: 0, height: 0 }, before: new Uint8Array(0), after: new Uint8Array(0) };
/** Bytes of undo to keep; the oldest goes first. */
const MAX_UNDO_BYTES = 256 * 2 ** 20;
/** A pen that hardly touches still paints with this part of the size. */
const LEAST_PRESSURE = 0.15;

const clampSize = (size: number): number => Math.min(SIZES.max, Math.max(SIZES.min, size));

export class MaskSession {
  readonly mask: Mask;
  /** The mask as it was before the stroke that is being made. */
  private readonly settled: Mask;
  private done: Patch[] = [];
  private undone: Patch[] = [];
  private stroke: { last: Dab; rect: Rect; readonly erases: boolean } | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly painters = new Set<(rect: Rect) => void>();
  private saved: Patch | undefined;
  /** A number that is another one after every change, for those who watch. */
  version = 0;
  settings: Settings;

  constructor(width: number, height: number, start?: Uint8Array) {
    this.mask = newMask(width, height);
    if (start !== undefined) this.mask.data.set(start);
    this.settled = { width, height, data: this.mask.data.slice() };
    this.settings = { tool: "brush", size: clampSize(Math.round(Math.min(width, height) / 16)), hardness: 0.8 };
  }

  get canUndo(): boolean {
    return this.done.length > 0;
  }
  get canRedo(): boolean {
    return this.undone.length > 0;
  }
  get isPainting(): boolean {
    return this.stroke !== undefined;
  }
  /** Whether there are strokes that were not saved. */
  get isUnsaved(): boolean {
    return this.done.at(-1) !== this.saved || this.stroke !== undefined;
  }
  markSaved(): void {
    this.saved = this.done.at(-1);
    this.tell();
  }

  set(change: Partial<Settings>): void {
    const next = { ...this.settings, ...change };
    this.settings = { ...next, size: clampSize(next.size), hardness: Math.min(1, Math.max(0, next.hardness)) };
    this.tell();
  }

  /** Begin a stroke; `erases` turns the brush around, as the other end of a pen or a held key does. */
  begin(x: number, y: number, pressure: number, erases = false): void {
    this.end();
    const dab = this.dab(x, y, pressure);
    const isEraser = (this.settings.tool === "eraser") !== erases;
    const rect = paint(this.mask, dab, dab, this.settings.hardness, isEraser);
    this.stroke = { last: dab, rect, erases: isEraser };
    this.repaint(rect);
    this.tell();
  }

  move(x: number, y: number, pressure: number): void {
    const { stroke } = this;
    if (stroke === undefined) return;
    const dab = this.dab(x, y, pressure);
    const rect = paint(this.mask, stroke.last, dab, this.settings.hardness, stroke.erases);
    stroke.last = dab;
    stroke.rect = union(stroke.rect, rect);
    this.repaint(rect);
  }

  /** The stroke is done and can be undone. */
  end(): void {
    const { stroke } = this;
    this.stroke = undefined;
    if (stroke !== undefined) this.settle(stroke.rect);
  }

  /** Take back a stroke that was none: the first finger of a pinch. */
  cancel(): void {
    const { stroke } = this;
    this.stroke = undefined;
    if (stroke === undefined || isEmpty(stroke.rect)) return;
    put(this.mask, stroke.rect, crop(this.settled, stroke.rect));
    this.repaint(stroke.rect);
    this.tell();
  }

  fill(x: number, y: number, erases = false): void {
    this.end();
    this.finish(flood(this.mask, x, y, erases));
  }
  invert(): void {
    this.end();
    invert(this.mask);
    this.finish(wholeOf(this.mask));
  }
  clear(): void {
    this.end();
    if (this.mask.data.every((value) => value === 0)) return;
    this.mask.data.fill(0);
    this.finish(wholeOf(this.mask));
  }

  undo(): void {
    this.end();
    const patch = this.done.pop();
    if (patch === undefined) return;
    this.undone.push(patch);
    this.restore(patch.rect, patch.before);
  }
  redo(): void {
    this.end();
    const patch = this.undone.pop();
    if (patch === undefined) return;
    this.done.push(patch);
    this.restore(patch.rect, patch.after);
  }

  /** Hear of everything that the tools show. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  /** Hear which part of the mask is to be drawn again. */
  onPaint(painter: (rect: Rect) => void): () => void {
    this.painters.add(painter);
    return () => this.painters.delete(painter);
  }

  private dab(x: number, y: number, pressure: number): Dab {
    return { x, y, radius: Math.max(0.5, this.settings.size * Math.max(LEAST_PRESSURE, Math.min(1, pressure))) };
  }

  private finish(rect: Rect): void {
    this.repaint(rect);
    this.settle(rect);
  }

  private settle(rect: Rect): void {
    if (isEmpty(rect)) return this.tell();
    const patch = { rect, before: crop(this.settled, rect), after: crop(this.mask, rect) };
    put(this.settled, rect, patch.after);
    this.done.push(patch);
    this.undone = [];
    let bytes = this.done.reduce((sum, each) => sum + 2 * each.before.length, 0);
    while (bytes > MAX_UNDO_BYTES && this.done.length > 1) bytes -= this.forgetOldest();
    this.tell();
  }

  /** The saved state is told by the step that led to it; one that no undo leads to any more must not be taken for it. */
  private forgetOldest(): number {
    const oldest = this.done.shift();
    if (this.saved === undefined) this.saved = UNREACHABLE;
    else if (this.saved === oldest) this.saved = undefined;
    return 2 * (oldest?.before.length ?? 0);
  }

  private restore(rect: Rect, part: Uint8Array): void {
    put(this.mask, rect, part);
    put(this.settled, rect, part);
    this.repaint(rect);
    this.tell();
  }

  private repaint(rect: Rect): void {
    if (!isEmpty(rect)) for (const painter of this.painters) painter(rect);
  }
  private tell(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}
