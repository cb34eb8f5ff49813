// Draws the picture, the mask over it and the brush's ring. Outside React: a stroke draws sixty times a second.

import type { Painting } from "./files";
import { wholeOf, type Rect } from "./raster";
import { fit, type Viewport } from "./viewport";

const TINT = [255, 64, 96] as const;
const OPACITY = 0.6;
/** Beyond this zoom pixels are shown as squares. */
const SHARP = 3;

export class Surface {
  view: Viewport;
  private readonly overlay: OffscreenCanvas;
  private frame = 0;
  private readonly stop: (() => void)[];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly ring: HTMLElement,
    private readonly painting: Painting,
  ) {
    const { mask } = painting.session;
    this.overlay = new OffscreenCanvas(mask.width, mask.height);
    this.tint(wholeOf(mask));
    this.view = fit(mask, { width: canvas.clientWidth, height: canvas.clientHeight });
    const resized = new ResizeObserver(() => this.resize());
    resized.observe(canvas);
    this.stop = [
      painting.session.onPaint((rect) => {
        this.tint(rect);
        this.draw();
      }),
      () => resized.disconnect(),
      () => cancelAnimationFrame(this.frame),
    ];
    this.resize();
  }

  dispose(): void {
    for (const stop of this.stop) stop();
  }

  show(view: Viewport): void {
    this.view = view;
    this.draw();
  }
  fit(): void {
    this.show(fit(this.painting.session.mask, { width: this.canvas.clientWidth, height: this.canvas.clientHeight }));
  }

  /** The brush's ring at a place of the window, or none. */
  point(at: { readonly x: number; readonly y: number } | undefined): void {
    const { size, tool } = this.painting.session.settings;
    this.ring.hidden = at === undefined || tool === "fill";
    if (at === undefined) return;
    const diameter = Math.max(4, 2 * size * this.view.zoom);
    this.ring.style.width = this.ring.style.height = `${String(diameter)}px`;
    this.ring.style.transform = `translate(${String(at.x - diameter / 2)}px, ${String(at.y - diameter / 2)}px)`;
  }

  private resize(): void {
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
    this.draw();
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow());
  }

  private drawNow(): void {
    const context = this.canvas.getContext("2d");
    if (context === null) return;
    const scale = window.devicePixelRatio || 1;
    const { zoom, x, y } = this.view;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(zoom * scale, 0, 0, zoom * scale, x * scale, y * scale);
    context.imageSmoothingEnabled = zoom < SHARP;
    context.drawImage(this.painting.picture, 0, 0);
    context.globalAlpha = OPACITY;
    context.drawImage(this.overlay, 0, 0);
    context.globalAlpha = 1;
  }

  /** Bring a part of the mask into the tinted layer. */
  private tint({ x, y, width, height }: Rect): void {
    const { mask } = this.painting.session;
    const image = new ImageData(width, height);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const at = 4 * (row * width + column);
        image.data.set(TINT, at);
        image.data[at + 3] = mask.data[(y + row) * mask.width + x + column] ?? 0;
      }
    }
    this.overlay.getContext("2d")?.putImageData(image, x, y);
  }
}
