// Of files too large to be read whole (models, long videos) only the parts that can carry texts, as a smaller file.

import { MAX_TEXT, tooLarge } from "../shape";
import { isAvif } from "./avif";
import { Bytes, damaged, MAX_TEXTS, oversized } from "./bytes";
import { isWebp } from "./exif";
import { isMp4 } from "./media";
import { isPng, TEXT_KINDS } from "./png";
import { canCarry, TENSORS } from "./kinds";

/** A file, as browsers give it. */
export interface Source {
  readonly size: number;
  readonly name: string;
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Up to this size a file is read whole. */
export const WHOLE = 64 * 2 ** 20;
const MAX_PARTS = 20_000;

/** The bytes of a file from which `readFile` can tell all that it could from the whole file. */
export async function excerpt(source: Source): Promise<Uint8Array> {
  const head = await source.read(0, Math.min(source.size, 32));
  if (TENSORS.test(source.name) && !canCarry(head)) return tensorHeader(source, head);
  if (source.size <= (canCarry(head) ? WHOLE : MAX_TEXT)) return source.read(0, source.size);
  if (!canCarry(head)) throw tooLarge(source.size, source.name);
  if (isPng(head)) return parts(source, 8, pngPart);
  if (isWebp(head)) return parts(source, 12, riffPart);
  if (isMp4(head) && !isAvif(head)) return parts(source, 0, box);
  return source.read(0, WHOLE);
}

async function tensorHeader(source: Source, head: Uint8Array): Promise<Uint8Array> {
  const length = new Bytes(head, "latent").u64(0, true);
  if (length > MAX_TEXTS) throw oversized("latent");
  return source.read(0, Math.min(source.size, 8 + length));
}

interface Part {
  readonly size: number;
  readonly isWanted: boolean;
}

const pngPart = (head: Bytes): Part => {
  const kind = head.tag(4);
  return { size: head.u32(0) + 12, isWanted: TEXT_KINDS.has(kind) || kind === "IEND" };
};
const riffPart = (head: Bytes): Part => {
  const length = head.u32(4, true);
  return { size: 8 + length + (length % 2), isWanted: head.tag(0) === "EXIF" };
};
const box = (head: Bytes): Part => {
  const size = head.u32(0) === 1 ? head.u64(8) : head.u32(0) === 0 ? Infinity : head.u32(0);
  return { size, isWanted: ["ftyp", "moov"].includes(head.tag(4)) };
};

/** The first `start` bytes of a file and those of its parts that are wanted. */
async function parts(source: Source, start: number, look: (head: Bytes) => Part): Promise<Uint8Array> {
  const found = [await source.read(0, start)];
  let total = start;
  let count = 0;
  for (let at = start; at + 16 <= source.size && count < MAX_PARTS; count++) {
    const { size, isWanted } = look(new Bytes(await source.read(at, at + 16), "file"));
    if (size < 8) throw damaged("file");
    const end = Math.min(source.size, at + size);
    if (isWanted) {
      total += end - at;
      if (total > WHOLE) throw oversized("file");
      found.push(await source.read(at, end));
    }
    at = end;
  }
  const whole = new Uint8Array(total);
  let at = 0;
  for (const part of found) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
