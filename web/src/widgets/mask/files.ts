// Opening a picture with the mask in its alpha, saving the mask back, and the paintings that are not saved yet.

import { readName, viewUrl } from "../pictures";
import type { Upload } from "../upload";
import { maskPng } from "./png";
import { MaskSession } from "./session";

export interface Painting {
  readonly picture: ImageBitmap;
  readonly session: MaskSession;
}

/** Paintings by the widget's value, from the first stroke until they are saved or discarded. */
const kept = new Map<string, Painting>();

export const keep = (value: string, painting: Painting): void => void kept.set(value, painting);
export const forget = (value: string): void => void kept.delete(value);

async function load(url: string): Promise<ImageBitmap> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${String(answer.status)} ${answer.statusText}`);
  return createImageBitmap(await answer.blob(), { premultiplyAlpha: "none", colorSpaceConversion: "none" });
}

/** The picture without its alpha, and the mask that its alpha is: what is transparent is masked. */
export async function open(value: string): Promise<Painting> {
  const found = kept.get(value);
  if (found !== undefined) return found;
  const file = readName(value);
  const [picture, whole] = await Promise.all([load(viewUrl(file, { channel: "rgb" })), load(viewUrl(file))]);
  const start = maskOf(whole);
  whole.close();
  return { picture, session: new MaskSession(picture.width, picture.height, start) };
}

function maskOf(picture: ImageBitmap): Uint8Array | undefined {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return undefined;
  context.drawImage(picture, 0, 0);
  return inverseAlpha(context.getImageData(0, 0, picture.width, picture.height).data);
}

export function inverseAlpha(pixels: Uint8ClampedArray): Uint8Array {
  const mask = new Uint8Array(pixels.length / 4);
  for (let at = 0; at < mask.length; at++) mask[at] = 255 - (pixels[4 * at + 3] ?? 255);
  return mask;
}

/** Store the mask on its picture as a new file; answers with the value of the widget that names it. */
export async function save(value: string, session: MaskSession, upload: Upload): Promise<string> {
  const original = readName(value);
  const file = new File([maskPng(session.mask)], maskedName(original.filename), { type: "image/png" });
  return upload(file, { subfolder: "clipspace", original });
}

/** `name.png` becomes `name-masked.png`, and stays so; the server numbers names that are taken. */
export function maskedName(filename: string): string {
  const stem = filename.replace(/\.[^.]*$/, "").replace(/-masked(?: \(\d+\))?$/, "");
  return `${stem}-masked.png`;
}
