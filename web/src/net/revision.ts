// The revision of a text: the same text has the same. `crypto.subtle` is missing on plain HTTP pages, and nobody has to be
// kept from forging one's own files, so a plain hash does: two 32-bit halves, mixed.

/** Length and hash of `text`. */
export function revisionOf(text: string): string {
  let [one, two] = [0xdeadbeef, 0x41c6ce57];
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    one = Math.imul(one ^ unit, 0x9e3779b1);
    two = Math.imul(two ^ unit, 0x5f356495);
    one ^= two >>> 15;
  }
  return [text.length.toString(36), hex(one), hex(two)].join("-");
}

const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, "0");
