// EXIF data in pictures of the ISO base media kind (AVIF, HEIF): an item of a list, found by two tables.

import { Bytes, type Texts } from "./bytes";
import { readExif } from "./exif";
import { boxes } from "./media";

const KIND = "AVIF picture";
const BRANDS: ReadonlySet<string> = new Set(["avif", "avis", "heic", "heix", "mif1", "msf1"]);

export const isAvif = (data: Uint8Array): boolean => {
  const bytes = new Bytes(data, KIND);
  return bytes.length >= 12 && bytes.tag(4) === "ftyp" && BRANDS.has(bytes.tag(8));
};

export function readAvif(data: Uint8Array): Texts {
  const file = new Bytes(data, KIND);
  for (const { kind, body } of boxes(file)) {
    if (kind !== "meta" || body.length < 4) continue;
    const inner = new Map([...boxes(body.part(4, body.length - 4))].map((box) => [box.kind, box.body]));
    const [items, places] = [inner.get("iinf"), inner.get("iloc")];
    const id = items === undefined ? undefined : exifItem(items);
    const place = id === undefined || places === undefined ? undefined : placeOf(places, id);
    if (place === undefined) continue;
    const item = file.part(place.start, place.length);
    // Four bytes say how far the TIFF header is from there.
    return readExif(item.slice(4, item.length - 4), KIND);
  }
  return new Map();
}

function exifItem(table: Bytes): number | undefined {
  const start = table.u8(0) === 0 ? 6 : 8;
  for (const { kind, body } of boxes(table.part(start, table.length - start))) {
    if (kind !== "infe" || body.u8(0) < 2) continue;
    const isLong = body.u8(0) > 2;
    if (body.tag(isLong ? 10 : 8) === "Exif") return isLong ? body.u32(4) : body.u16(4);
  }
  return undefined;
}

/** The first extent of an item that lies in the file itself. */
function placeOf(table: Bytes, wanted: number): { start: number; length: number } | undefined {
  const version = table.u8(0);
  const sizes = { offset: table.u8(4) >> 4, length: table.u8(4) & 15, base: table.u8(5) >> 4, index: version > 0 ? table.u8(5) & 15 : 0 };
  const number = (at: number, size: number): number => (size === 8 ? table.u64(at) : size === 4 ? table.u32(at) : 0);
  const wide = version === 2 ? 4 : 2;
  let at = 6 + wide;
  for (let left = wide === 4 ? table.u32(6) : table.u16(6); left > 0; left--) {
    const id = wide === 4 ? table.u32(at) : table.u16(at);
    at += wide + (version > 0 ? 2 : 0) + 2;
    const base = number(at, sizes.base);
    const extents = table.u16(at + sizes.base);
    at += sizes.base + 2;
    const each = sizes.index + sizes.offset + sizes.length;
    if (id === wanted && extents > 0) {
      return { start: base + number(at + sizes.index, sizes.offset), length: number(at + sizes.index + sizes.offset, sizes.length) };
    }
    at += extents * each;
  }
  return undefined;
}
