// Text chunks of PNG pictures (PNG specification, section 11.3), also those after the picture data.

import { Unzlib } from "fflate";
import { FormatError } from "../errors";
import { Bytes, damaged, latin1, MAX_TEXTS, oversized, untilZero, utf8, utf8OrLatin1, type Texts } from "./bytes";

const KIND = "PNG picture";
const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** `comf` is laid out like `tEXt`; animated pictures have it. */
export const TEXT_KINDS: ReadonlySet<string> = new Set(["tEXt", "zTXt", "iTXt", "comf"]);

export const isPng = (data: Uint8Array): boolean => SIGNATURE.every((byte, place) => data[place] === byte);

export function readPng(data: Uint8Array): Texts {
  const bytes = new Bytes(data, KIND);
  const texts: Texts = new Map();
  let left = MAX_TEXTS;
  let at = SIGNATURE.length;
  while (at + 8 <= data.length) {
    const length = bytes.u32(at);
    const kind = bytes.tag(at + 4);
    if (kind === "IEND") return texts;
    if (at + 8 + length > data.length) break;
    if (TEXT_KINDS.has(kind)) {
      const [key, text] = readText(kind, bytes.slice(at + 8, length), left);
      left -= text.length;
      if (left < 0) throw oversized(KIND);
      if (!texts.has(key)) texts.set(key, text);
    }
    at += length + 12;
  }
  // A picture that is cut short may have its texts all the same.
  if (texts.size === 0) throw damaged(KIND);
  return texts;
}

function readText(kind: string, data: Uint8Array, limit: number): [string, string] {
  const [keyword, rest] = untilZero(data);
  const key = latin1(keyword);
  if (kind === "zTXt") return [key, utf8OrLatin1(inflated(rest.subarray(1), limit))];
  if (kind !== "iTXt") return [key, utf8OrLatin1(rest)];
  const [, afterLanguage] = untilZero(rest.subarray(2));
  const [, text] = untilZero(afterLanguage);
  return [key, utf8(rest[0] === 1 ? inflated(text, limit) : text)];
}

/** Pieces so small that none of them can unpack to more than some megabytes before the limit is looked at. */
const PIECE = 4096;

function inflated(data: Uint8Array, limit: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  const stream = new Unzlib((part) => {
    size += part.length;
    parts.push(part);
  });
  try {
    for (let at = 0; at < data.length && size <= limit; at += PIECE) {
      stream.push(data.subarray(at, at + PIECE), at + PIECE >= data.length);
    }
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw damaged(KIND);
  }
  if (size > limit) throw oversized(KIND);
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
