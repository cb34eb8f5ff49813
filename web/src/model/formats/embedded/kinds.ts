// Which reader knows the texts of a file, by its first bytes; tensors by their name.

import { isAvif, readAvif } from "./avif";
import type { Texts } from "./bytes";
import { isJpeg, isWebp, readJpeg, readWebp } from "./exif";
import { isMp4, isWebm, readMp4, readSafetensors, readWebm } from "./media";
import { isGlb, readGlb } from "./models";
import { isPng, readPng } from "./png";
import { isFlac, isMp3, isOgg, readFlac, readMp3, readOgg } from "./sound";

export const TENSORS = /\.(latent|safetensors|sft)$/i;

const READERS: readonly (readonly [(data: Uint8Array) => boolean, (data: Uint8Array) => Texts])[] = [
  [isPng, readPng],
  [isWebp, readWebp],
  [isJpeg, readJpeg],
  [isAvif, readAvif],
  [isMp4, readMp4],
  [isWebm, readWebm],
  [isFlac, readFlac],
  [isOgg, readOgg],
  [isMp3, readMp3],
  [isGlb, readGlb],
];

export const canCarry = (head: Uint8Array): boolean => READERS.some(([is]) => is(head));

/** The texts in a file, undefined if it is of no kind that carries any. */
export function readTexts(data: Uint8Array, name: string): Texts | undefined {
  const reader = READERS.find(([is]) => is(data));
  if (reader !== undefined) return reader[1](data);
  return TENSORS.test(name) ? readSafetensors(data) : undefined;
}
