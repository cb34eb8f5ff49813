// Workflows in links: `#w=` and the JSON, deflated, in base64 for addresses. No server takes part.

import { deflateSync, inflateSync, strFromU8, strToU8 } from "fflate";

const PREFIX = "#w=";
/** What a link may unfold to; deflate can hide a gigabyte in a megabyte. */
export const MAX_SHARED = 20 * 1024 * 1024;

export function writeShareLink(text: string, page: string): string {
  return page.replace(/#.*$/, "") + PREFIX + toBase64(deflateSync(strToU8(text), { level: 9 }));
}

/** The JSON in an address, if there is one. Raises for one that is damaged or too large. */
export function readShareLink(hash: string): string | undefined {
  if (!hash.startsWith(PREFIX)) return undefined;
  const space = new Uint8Array(MAX_SHARED);
  const bytes = inflateSync(fromBase64(hash.slice(PREFIX.length)), { out: space });
  if (bytes.length >= MAX_SHARED) throw new Error("the link holds too much");
  return strFromU8(bytes);
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64(text: string): Uint8Array {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}
