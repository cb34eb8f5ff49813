// Reading bytes without ever reading past their end.

import { FormatError } from "../errors";

export const MAX_TEXTS = 32 * 2 ** 20;

export type Texts = Map<string, string>;

export const damaged = (kind: string): FormatError =>
  new FormatError("damaged", `this ${kind} is damaged or cut short`, "Download or copy the file again.");

export const oversized = (kind: string): FormatError =>
  new FormatError("too-large", `the texts in this ${kind} are larger than ${MAX_TEXTS} bytes`, "Open the workflow as JSON instead.");

/** A window on a file; what lies outside raises an error that names the kind of file. */
export class Bytes {
  private readonly view: DataView;

  constructor(
    readonly data: Uint8Array,
    readonly kind: string,
  ) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  get length(): number {
    return this.data.length;
  }

  private at(offset: number, size: number): number {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + size > this.data.length) throw damaged(this.kind);
    return offset;
  }

  u8(offset: number): number {
    return this.view.getUint8(this.at(offset, 1));
  }

  u16(offset: number, isLittle = false): number {
    return this.view.getUint16(this.at(offset, 2), isLittle);
  }

  u32(offset: number, isLittle = false): number {
    return this.view.getUint32(this.at(offset, 4), isLittle);
  }

  u64(offset: number, isLittle = false): number {
    const value = this.view.getBigUint64(this.at(offset, 8), isLittle);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(this.kind);
    return Number(value);
  }

  slice(start: number, length: number): Uint8Array {
    if (length < 0) throw damaged(this.kind);
    return this.data.subarray(this.at(start, length), start + length);
  }

  /** Four characters, as formats name their parts. */
  tag(offset: number): string {
    return latin1(this.slice(offset, 4));
  }

  part(start: number, length: number): Bytes {
    return new Bytes(this.slice(start, length), this.kind);
  }
}

export const latin1 = (data: Uint8Array): string => {
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return text;
};

export const utf8 = (data: Uint8Array): string => new TextDecoder().decode(data);

/** Latin-1 says the specification of PNG, UTF-8 is what some programs write. */
export function utf8OrLatin1(data: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    return latin1(data);
  }
}

/** The bytes before the first zero, and what follows it. */
export function untilZero(data: Uint8Array): [Uint8Array, Uint8Array] {
  const end = data.indexOf(0);
  return end < 0 ? [data, new Uint8Array()] : [data.subarray(0, end), data.subarray(end + 1)];
}

/** The first text of a key counts; keys have no case. */
export function add(texts: Texts, key: string, data: Uint8Array, kind = "file"): void {
  if (data.length > MAX_TEXTS) throw oversized(kind);
  const name = key.toLowerCase();
  if (!texts.has(name)) texts.set(name, utf8(data));
}
