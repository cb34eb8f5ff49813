// Texts in tensors (`__metadata__` of safetensors) and videos (MP4, WebM).

import { isObject } from "../../json";
import { parseText } from "../shape";
import { add, Bytes, damaged, latin1, MAX_TEXTS, oversized, utf8, type Texts } from "./bytes";

export function readSafetensors(data: Uint8Array): Texts {
  const bytes = new Bytes(data, "latent");
  const length = bytes.u64(0, true);
  if (length > MAX_TEXTS) throw oversized(bytes.kind);
  const header = parseText(utf8(bytes.slice(8, length)), "header");
  const metadata = isObject(header) ? header["__metadata__"] : undefined;
  if (!isObject(metadata ?? null)) return new Map();
  return new Map(Object.entries(metadata ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

export const isMp4 = (data: Uint8Array): boolean => latin1(data.subarray(4, 8)) === "ftyp";

export interface Box {
  readonly kind: string;
  readonly body: Bytes;
}

/** The boxes of ISO base media (ISO 14496-12): size, kind, body. */
export function* boxes(bytes: Bytes): Generator<Box> {
  for (let at = 0; at + 8 <= bytes.length; ) {
    let [size, header] = [bytes.u32(at), 8];
    if (size === 1) [size, header] = [bytes.u64(at + 8), 16];
    if (size === 0) size = bytes.length - at;
    if (size < header) throw damaged(bytes.kind);
    // The last box of a file that is cut short is left out.
    if (at + size > bytes.length) return;
    yield { kind: bytes.tag(at + 4), body: bytes.part(at + header, size - header) };
    at += size;
  }
}

export function readMp4(data: Uint8Array): Texts {
  const texts: Texts = new Map();
  for (const box of boxes(new Bytes(data, "video"))) if (box.kind === "moov") readTags(box.body, texts, 0);
  return texts;
}

function readTags(bytes: Bytes, texts: Texts, depth: number): void {
  let keys: string[] = [];
  for (const { kind, body } of boxes(bytes)) {
    if (kind === "udta" && depth < 4) readTags(body, texts, depth + 1);
    else if (kind === "meta" && depth < 4) {
      // ISO has four bytes of version and flags before the boxes, QuickTime has none.
      const isQuickTime = body.length >= 8 && body.tag(4) === "hdlr";
      if (body.length >= 4) readTags(isQuickTime ? body : body.part(4, body.length - 4), texts, depth + 1);
    } else if (kind === "keys") keys = readKeys(body);
    else if (kind === "ilst") readList(body, keys, texts);
  }
}

function readKeys(bytes: Bytes): string[] {
  const keys: string[] = [];
  for (let at = 8; at + 8 <= bytes.length; ) {
    const size = bytes.u32(at);
    if (size < 8) throw damaged(bytes.kind);
    keys.push(utf8(bytes.slice(at + 8, size - 8)));
    at += size;
  }
  return keys;
}

const ATOMS: Readonly<Record<string, string>> = { "\u00a9cmt": "comment", "\u00a9des": "description", desc: "description" };

function readList(bytes: Bytes, keys: readonly string[], texts: Texts): void {
  for (const { kind, body } of boxes(bytes)) {
    const number = [...kind].reduce((sum, char) => sum * 256 + char.charCodeAt(0), 0);
    let key = keys[number - 1] ?? ATOMS[kind] ?? kind;
    for (const inner of boxes(body)) {
      if (inner.kind === "name" && inner.body.length > 4) key = utf8(inner.body.slice(4, inner.body.length - 4));
      if (inner.kind === "data" && inner.body.length >= 8) add(texts, key, inner.body.slice(8, inner.body.length - 8));
    }
  }
}

export const isWebm = (data: Uint8Array): boolean => latin1(data.subarray(0, 4)) === "\x1a\x45\xdf\xa3";

const CONTAINERS: ReadonlySet<number> = new Set([0x18538067, 0x1254c367, 0x7373, 0x67c8]);
const [TAG_NAME, TAG_TEXT] = [0x45a3, 0x4487];

/** Matroska tags (EBML): containers that hold tags are walked into, all else is skipped. */
export function readWebm(data: Uint8Array): Texts {
  const bytes = new Bytes(data, "video");
  const texts: Texts = new Map();
  let name = "";
  for (let at = 0; at + 2 <= data.length; ) {
    const id = vint(bytes, at, true);
    if (at + id.width >= data.length) break;
    const size = vint(bytes, at + id.width, false);
    at += id.width + size.width;
    // A size of all ones means "until the end": such an element is walked into.
    if (CONTAINERS.has(id.value) || size.isUnknown) continue;
    if (at + size.value > data.length) break;
    if (id.value === TAG_NAME) name = utf8(bytes.slice(at, size.value));
    if (id.value === TAG_TEXT) add(texts, name, bytes.slice(at, size.value));
    at += size.value;
  }
  return texts;
}

function vint(bytes: Bytes, at: number, keepsMarker: boolean): { value: number; width: number; isUnknown: boolean } {
  const first = bytes.u8(at);
  const width = Math.clz32(first) - 23;
  if (width > 8) throw damaged(bytes.kind);
  let value = keepsMarker ? first : first & (0xff >> width);
  let isUnknown = (first & (0xff >> width)) === 0xff >> width;
  for (let number = 1; number < width; number++) {
    const byte = bytes.u8(at + number);
    isUnknown = isUnknown && byte === 0xff;
    value = value * 256 + byte;
  }
  return { value, width, isUnknown: isUnknown && !keepsMarker };
}
