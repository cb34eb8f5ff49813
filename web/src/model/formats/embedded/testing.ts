// Builders of small files that carry texts, one for each kind, for tests.

import { deflateSync, strToU8, zlibSync } from "fflate";

type Texts = Readonly<Record<string, string>>;

export const joined = (...parts: readonly (Uint8Array | string)[]): Uint8Array => {
  const all = parts.map((part) => (typeof part === "string" ? strToU8(part) : part));
  const whole = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of all) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

const bytes = (value: number, width: number, isLittle = false): Uint8Array => {
  const out = Array.from({ length: width }, (_, place) => Math.floor(value / 256 ** (width - 1 - place)) % 256);
  return Uint8Array.from(isLittle ? out.reverse() : out);
};
export const big = (value: number, width = 4): Uint8Array => bytes(value, width);
export const little = (value: number, width = 4): Uint8Array => bytes(value, width, true);

const pngChunk = (kind: string, data: Uint8Array): Uint8Array => joined(big(data.length), kind, data, big(0));

export function png(texts: Texts, kind: "tEXt" | "zTXt" | "iTXt" | "packed iTXt" | "comf" = "tEXt"): Uint8Array {
  const chunks = Object.entries(texts).map(([key, text]) => {
    const body = {
      tEXt: [`${key}\0`, text],
      comf: [`${key}\0`, text],
      zTXt: [`${key}\0\0`, zlibSync(strToU8(text))],
      iTXt: [`${key}\0\0\0en\0\0`, text],
      "packed iTXt": [`${key}\0`, new Uint8Array([1, 0]), "en\0\0", zlibSync(strToU8(text))],
    }[kind];
    return pngChunk(kind === "packed iTXt" ? "iTXt" : kind, joined(...body));
  });
  const header = pngChunk("IHDR", joined(big(1), big(1), new Uint8Array([8, 0, 0, 0, 0])));
  return joined(new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), header, ...chunks, pngChunk("IDAT", deflateSync(new Uint8Array(2))), pngChunk("IEND", new Uint8Array()));
}

function tiff(texts: Texts, isLittle: boolean): Uint8Array {
  const number = isLittle ? little : big;
  const values = Object.entries(texts).map(([key, text]) => joined(`${key}:${text}\0`));
  let place = 8 + 2 + 12 * values.length + 4;
  const entries = values.map((value, count) => {
    const entry = joined(number(0x0110 - count, 2), number(2, 2), number(value.length), number(place));
    place += value.length;
    return entry;
  });
  return joined(isLittle ? "II" : "MM", number(42, 2), number(8), number(values.length, 2), ...entries, number(0), ...values);
}

export function webp(texts: Texts, isLittle = true, prefix = "Exif\0\0"): Uint8Array {
  const exif = joined(prefix, tiff(texts, isLittle));
  const padding = exif.length % 2 === 1 ? "\0" : "";
  const chunks = joined("XXXX", little(3), "abc\0", "EXIF", little(exif.length), exif, padding);
  return joined("RIFF", little(4 + chunks.length), "WEBP", chunks);
}

export function jpeg(texts: Texts): Uint8Array {
  const exif = joined("Exif\0\0", tiff(texts, false));
  return joined(new Uint8Array([0xff, 0xd8, 0xff, 0xe0]), big(4, 2), "ab", new Uint8Array([0xff, 0xe1]), big(exif.length + 2, 2), exif, new Uint8Array([0xff, 0xda, 0, 2]));
}

export const tensors = (texts: Texts): Uint8Array => {
  const header = strToU8(JSON.stringify({ __metadata__: texts, x: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }));
  return joined(little(header.length), little(0), header, new Uint8Array(4));
};

const box = (kind: string, ...parts: (Uint8Array | string)[]): Uint8Array => {
  const body = joined(...parts);
  return joined(big(body.length + 8), Uint8Array.from(kind, (letter) => letter.charCodeAt(0)), body);
};

/** As ffmpeg writes it with `use_metadata_tags`: keys by number. */
export function mp4(texts: Texts): Uint8Array {
  const keys = Object.keys(texts).map((key) => box("mdta", key));
  const items = Object.values(texts).map((text, number) => {
    return joined(big(24 + strToU8(text).length), big(number + 1), box("data", big(1), big(0), text));
  });
  const meta = box("meta", big(0), box("hdlr", big(0)), box("keys", big(0), big(keys.length), ...keys), box("ilst", ...items));
  return joined(box("ftyp", "isom", big(0)), box("mdat", new Uint8Array(64)), box("moov", box("udta", meta)));
}

const element = (id: readonly number[], ...parts: (Uint8Array | string)[]): Uint8Array => {
  const body = joined(...parts);
  return joined(Uint8Array.from(id), Uint8Array.from([0x10 | (body.length >> 24), (body.length >> 16) & 255, (body.length >> 8) & 255, body.length & 255]), body);
};

export function webm(texts: Texts): Uint8Array {
  const tags = Object.entries(texts).map(([key, text]) => element([0x67, 0xc8], element([0x45, 0xa3], key.toUpperCase()), element([0x44, 0x87], text)));
  return joined(element([0x1a, 0x45, 0xdf, 0xa3], new Uint8Array(4)), element([0x18, 0x53, 0x80, 0x67], element([0xec], new Uint8Array(9)), element([0x12, 0x54, 0xc3, 0x67], element([0x73, 0x73], ...tags))));
}

const comments = (texts: Texts): Uint8Array => {
  const all = Object.entries(texts).map(([key, text]) => strToU8(`${key}=${text}`));
  return joined(little(5), "maker", little(all.length), ...all.flatMap((one) => [little(one.length), one]));
};

export const flac = (texts: Texts): Uint8Array => {
  const block = comments(texts);
  return joined("fLaC", big(34), new Uint8Array(34), big(0x84000000 + block.length), block, new Uint8Array(20));
};

/** A stream of two packets over as many pages as they need. */
export function ogg(texts: Texts, codec: "Opus" | "vorbis" = "Opus"): Uint8Array {
  const packets = codec === "Opus" ? ["OpusHead", joined("OpusTags", comments(texts))] : ["\u0001vorbis", joined("\u0003vorbis", comments(texts), "\u0001")];
  const pages = packets.flatMap((packet) => {
    const data = joined(packet);
    const sizes = [...Array.from({ length: Math.floor(data.length / 255) }, () => 255), data.length % 255];
    const parts: Uint8Array[] = [];
    let at = 0;
    for (let start = 0; start < sizes.length; start += 255) {
      const some = sizes.slice(start, start + 255);
      const length = some.reduce((sum, size) => sum + size, 0);
      parts.push(joined("OggS", new Uint8Array(22), new Uint8Array([some.length]), Uint8Array.from(some), data.subarray(at, at + length)));
      at += length;
    }
    return parts;
  });
  return joined(...pages);
}

const syncsafe = (value: number): Uint8Array => Uint8Array.from([21, 14, 7, 0], (shift) => (value >> shift) & 0x7f);

export function mp3(texts: Texts, version: 3 | 4 = 4): Uint8Array {
  const frames = Object.entries(texts).map(([key, text]) => {
    const body = version === 4 ? joined(new Uint8Array([3]), key, "\0", text) : joined(new Uint8Array([1]), utf16(key), new Uint8Array(2), utf16(text));
    return joined("TXXX", version === 4 ? syncsafe(body.length) : big(body.length), new Uint8Array(2), body);
  });
  const body = joined("TIT2", version === 4 ? syncsafe(2) : big(2), new Uint8Array(2), "\u0003x", ...frames, new Uint8Array(10));
  return joined("ID3", new Uint8Array([version, 0, 0]), syncsafe(body.length), body, new Uint8Array([0xff, 0xfb]));
}

const utf16 = (text: string): Uint8Array => joined(new Uint8Array([0xff, 0xfe]), ...Array.from({ length: text.length }, (_, place) => little(text.charCodeAt(place), 2)));

export function glb(texts: Texts): Uint8Array {
  const json = strToU8(JSON.stringify({ asset: { version: "2.0", extras: texts }, nodes: [] }));
  return joined("glTF", little(2), little(20 + json.length), little(json.length), "JSON", json);
}

export const svg = (texts: Texts): Uint8Array =>
  strToU8(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><metadata><![CDATA[${JSON.stringify(texts)}]]></metadata></svg>`);

export function avif(texts: Texts): Uint8Array {
  const exif = joined(big(0), tiff(texts, false));
  const infe = box("infe", new Uint8Array([2, 0, 0, 0]), big(7, 2), big(0, 2), "Exif", "\0");
  const iinf = box("iinf", big(0), big(1, 2), infe);
  const ftyp = box("ftyp", "avif", big(0), "mif1");
  const iloc = (start: number): Uint8Array => box("iloc", big(0), new Uint8Array([0x44, 0x00]), big(1, 2), big(7, 2), big(0, 2), big(1, 2), big(start), big(exif.length));
  const meta = (start: number): Uint8Array => box("meta", big(0), iinf, iloc(start));
  return joined(ftyp, meta(ftyp.length + meta(0).length + 8), box("mdat", exif));
}
