// Texts in sound: comments of FLAC and Ogg (Vorbis, Opus), and ID3 tags (version 2) of MP3.

import { add, Bytes, latin1, MAX_TEXTS, oversized, untilZero, utf8, utf8OrLatin1, type Texts } from "./bytes";

const KIND = "sound file";

export const isFlac = (data: Uint8Array): boolean => latin1(data.subarray(0, 4)) === "fLaC";

/** Vorbis comments: `KEY=text`. */
export function readFlac(data: Uint8Array): Texts {
  const bytes = new Bytes(data, KIND);
  const texts: Texts = new Map();
  for (let at = 4, isLast = false; !isLast && at + 4 <= data.length; ) {
    const header = bytes.u32(at);
    const [kind, length] = [(header >>> 24) & 0x7f, header & 0xffffff];
    isLast = header >>> 31 === 1;
    if (kind === 4) readComments(bytes.part(at + 4, length), texts);
    at += 4 + length;
  }
  return texts;
}

function readComments(bytes: Bytes, texts: Texts): void {
  const vendor = bytes.u32(0, true);
  let at = 8 + vendor;
  for (let left = bytes.u32(4 + vendor, true); left > 0; left--) {
    const length = bytes.u32(at, true);
    const comment = bytes.slice(at + 4, length);
    const equals = comment.indexOf(0x3d);
    if (equals > 0) add(texts, latin1(comment.subarray(0, equals)), comment.subarray(equals + 1));
    at += 4 + length;
  }
}

export const isOgg = (data: Uint8Array): boolean => latin1(data.subarray(0, 4)) === "OggS";

/** The comments are the second packet of the stream, which may go over many pages. */
export function readOgg(data: Uint8Array): Texts {
  const texts: Texts = new Map();
  const packet = secondPacket(new Bytes(data, KIND));
  if (packet === undefined) return texts;
  const start = ["OpusTags", "\u0003vorbis"].find((tag) => latin1(packet.subarray(0, tag.length)) === tag)?.length;
  // Of FLAC in Ogg the packet is a block of metadata with its header of four bytes.
  readComments(new Bytes(packet.subarray(start ?? 4), KIND), texts);
  return texts;
}

function secondPacket(bytes: Bytes): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let [number, size] = [0, 0];
  for (let at = 0; at + 27 <= bytes.length && bytes.tag(at) === "OggS"; ) {
    const sizes = bytes.slice(at + 27, bytes.u8(at + 26));
    at += 27 + sizes.length;
    for (const length of sizes) {
      if (number === 1) parts.push(bytes.slice(at, length));
      size += number === 1 ? length : 0;
      if (size > MAX_TEXTS) throw oversized(KIND);
      at += length;
      if (length === 255) continue;
      if (number === 1) return joined(parts, size);
      number++;
    }
  }
  return undefined;
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const isMp3 = (data: Uint8Array): boolean => latin1(data.subarray(0, 3)) === "ID3";

/** ID3 of versions 2.2 to 2.4: `TXXX` frames are pairs of key and text, `COMM` is the comment. */
export function readMp3(data: Uint8Array): Texts {
  const file = new Bytes(data, KIND);
  const [version, flags] = [file.u8(3), file.u8(5)];
  const end = 10 + syncsafe(file, 6);
  if (end > MAX_TEXTS) throw oversized(KIND);
  const body = file.slice(10, end - 10);
  const bytes = new Bytes((flags & 0x80) === 0 ? body : withoutStuffing(body), KIND);
  const texts: Texts = new Map();
  const [idSize, header] = version === 2 ? [3, 6] : [4, 10];
  let at = (flags & 0x40) === 0 || version === 2 ? 0 : version === 3 ? 4 + bytes.u32(0) : syncsafe(bytes, 0);
  while (at + header <= bytes.length && bytes.u8(at) !== 0) {
    const id = latin1(bytes.slice(at, idSize));
    const length = frameSize(bytes, at, version);
    const frame = bytes.slice(at + header, length);
    if (id === "TXXX" || id === "TXX") addFrame(texts, frame, 1);
    else if (id === "COMM" || id === "COM") addFrame(texts, frame, 4, "comment");
    at += header + length;
  }
  return texts;
}

/** Seven bits a byte, so that no tag looks like sound. */
const syncsafe = (bytes: Bytes, at: number): number =>
  [0, 1, 2, 3].reduce((sum, place) => sum * 128 + (bytes.u8(at + place) & 0x7f), 0);

function frameSize(bytes: Bytes, at: number, version: number): number {
  if (version === 2) return bytes.u8(at + 3) * 65536 + bytes.u16(at + 4);
  return version === 3 ? bytes.u32(at + 4) : syncsafe(bytes, at + 4);
}

const withoutStuffing = (data: Uint8Array): Uint8Array => data.filter((byte, place) => byte !== 0 || data[place - 1] !== 0xff);

function addFrame(texts: Texts, frame: Uint8Array, start: number, key?: string): void {
  const encoding = frame[0] ?? 0;
  const rest = frame.subarray(start);
  const isWide = encoding === 1 || encoding === 2;
  const [name, text] = isWide ? untilWideZero(rest) : untilZero(rest);
  const decode = (part: Uint8Array): string => {
    if (isWide) return utf16(part, encoding === 2);
    return encoding === 3 ? utf8(part) : utf8OrLatin1(part);
  };
  const known = (key ?? decode(name)).toLowerCase();
  if (!texts.has(known)) texts.set(known, decode(text).replace(/\0+$/, ""));
}

function untilWideZero(data: Uint8Array): [Uint8Array, Uint8Array] {
  for (let at = 0; at + 1 < data.length; at += 2) {
    if (data[at] === 0 && data[at + 1] === 0) return [data.subarray(0, at), data.subarray(at + 2)];
  }
  return [data, new Uint8Array()];
}

function utf16(data: Uint8Array, isBig: boolean): string {
  const marked = data[0] === 0xfe && data[1] === 0xff;
  return new TextDecoder(isBig || marked ? "utf-16be" : "utf-16le").decode(data);
}
