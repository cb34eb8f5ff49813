// Texts in the EXIF data of WebP and JPEG pictures (TIFF 6.0): `key:text` in ASCII tags, and the user's comment.

import { Bytes, damaged, latin1, MAX_TEXTS, oversized, utf8, type Texts } from "./bytes";

const ASCII = 2;
const EXIF_DIRECTORY = 0x8769;
const USER_COMMENT = 0x9286;
const PREFIX = "Exif\0\0";
const MAX_ENTRIES = 1000;

export const isWebp = (data: Uint8Array): boolean => latin1(data.subarray(0, 4)) === "RIFF" && latin1(data.subarray(8, 12)) === "WEBP";
export const isJpeg = (data: Uint8Array): boolean => data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff;

export function readWebp(data: Uint8Array): Texts {
  const bytes = new Bytes(data, "WebP picture");
  for (let at = 12; at + 8 <= data.length; ) {
    const length = bytes.u32(at + 4, true);
    if (bytes.tag(at) === "EXIF") return readExif(bytes.slice(at + 8, length), bytes.kind);
    at += 8 + length + (length % 2);
  }
  return new Map();
}

export function readJpeg(data: Uint8Array): Texts {
  const bytes = new Bytes(data, "JPEG picture");
  for (let at = 2; at + 4 <= data.length && bytes.u8(at) === 0xff; ) {
    const [marker, length] = [bytes.u8(at + 1), bytes.u16(at + 2)];
    if (marker === 0xda || length < 2) break;
    const segment = bytes.slice(at + 4, length - 2);
    if (marker === 0xe1 && latin1(segment.subarray(0, 6)) === PREFIX) return readExif(segment, bytes.kind);
    at += 2 + length;
  }
  return new Map();
}

export function readExif(data: Uint8Array, kind: string): Texts {
  if (data.length > MAX_TEXTS) throw oversized(kind);
  const start = latin1(data.subarray(0, 6)) === PREFIX ? 6 : 0;
  const tiff = new Bytes(data.subarray(start), kind);
  const order = latin1(tiff.slice(0, 2));
  if (order !== "II" && order !== "MM") throw damaged(kind);
  const texts: Texts = new Map();
  readDirectory(tiff, tiff.u32(4, order === "II"), order === "II", texts, true);
  return texts;
}

function readDirectory(tiff: Bytes, start: number, isLittle: boolean, texts: Texts, isFirst: boolean): void {
  const count = Math.min(tiff.u16(start, isLittle), MAX_ENTRIES);
  for (let number = 0; number < count; number++) {
    const place = start + 2 + 12 * number;
    const [tag, type, size] = [tiff.u16(place, isLittle), tiff.u16(place + 2, isLittle), tiff.u32(place + 4, isLittle)];
    const offset = size > 4 ? tiff.u32(place + 8, isLittle) : place + 8;
    if (tag === EXIF_DIRECTORY && isFirst) readDirectory(tiff, tiff.u32(place + 8, isLittle), isLittle, texts, false);
    else if (tag === USER_COMMENT) texts.set("parameters", comment(tiff.slice(offset, size), isLittle));
    else if (type === ASCII) addTag(texts, utf8(tiff.slice(offset, size)).replace(/\0+$/, ""));
  }
}

function addTag(texts: Texts, text: string): void {
  const colon = text.indexOf(":");
  if (colon > 0) texts.set(text.slice(0, colon).toLowerCase(), text.slice(colon + 1));
}

/** A comment names its encoding in eight bytes; `UNICODE` is UTF-16, mostly in big endian order. */
function comment(data: Uint8Array, isLittle: boolean): string {
  const encoding = latin1(data.subarray(0, 8));
  const text = data.subarray(8);
  if (!encoding.startsWith("UNICODE")) return utf8(text);
  // The order of the file is not always that of the comment: Latin letters have their zero byte first or second.
  const isBig = text[0] === 0 || (!isLittle && text[1] !== 0);
  return new TextDecoder(isBig ? "utf-16be" : "utf-16le").decode(text);
}
