// The little of Markdown that notes use, read into plain data. No HTML, neither read nor written.

export type Inline =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "strong" | "em" | "strike"; readonly parts: readonly Inline[] }
  | { readonly kind: "link"; readonly url: string; readonly parts: readonly Inline[] };

export type Block =
  | { readonly kind: "heading"; readonly level: number; readonly parts: readonly Inline[] }
  | { readonly kind: "paragraph" | "quote"; readonly lines: readonly (readonly Inline[])[] }
  | { readonly kind: "list"; readonly ordered: boolean; readonly items: readonly (readonly Inline[])[] }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "rule" };

const ITEM = /^\s*(?:([-*+])|(\d{1,9})[.)])\s+(.*)$/;

export function readMarkdown(text: string): Block[] {
  const lines = text.split(/\r?\n/);
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const [block, used] = readBlock(lines, at);
    if (block !== undefined) blocks.push(block);
    at += used;
  }
  return blocks;
}

function readBlock(lines: readonly string[], at: number): [Block | undefined, number] {
  const line = lines[at] ?? "";
  if (line.trim() === "") return [undefined, 1];
  if (line.startsWith("```")) {
    const end = lines.findIndex((each, place) => place > at && each.startsWith("```"));
    const last = end < 0 ? lines.length : end;
    return [{ kind: "code", text: lines.slice(at + 1, last).join("\n") }, last - at + 1];
  }
  const heading = /^(#{1,6})\s+(.*)$/.exec(line);
  if (heading !== null) return [{ kind: "heading", level: heading[1]?.length ?? 1, parts: readInline(heading[2] ?? "") }, 1];
  if (/^\s*([-*_])\s*(\1\s*){2,}$/.test(line)) return [{ kind: "rule" }, 1];
  if (ITEM.test(line)) {
    const items = takeWhile(lines, at, (each) => ITEM.test(each));
    const ordered = ITEM.exec(line)?.[2] !== undefined;
    return [{ kind: "list", ordered, items: items.map((each) => readInline(ITEM.exec(each)?.[3] ?? "")) }, items.length];
  }
  if (line.startsWith(">")) {
    const quoted = takeWhile(lines, at, (each) => each.startsWith(">"));
    return [{ kind: "quote", lines: quoted.map((each) => readInline(each.replace(/^>\s?/, ""))) }, quoted.length];
  }
  const plain = takeWhile(lines, at, (each, place) => place === at || !/^\s*$|^#{1,6}\s|^```|^>/.test(each) && !ITEM.test(each));
  return [{ kind: "paragraph", lines: plain.map((each) => readInline(each)) }, plain.length];
}

function takeWhile(lines: readonly string[], at: number, fits: (line: string, place: number) => boolean): string[] {
  let end = at;
  while (end < lines.length && fits(lines[end] ?? "", end)) end++;
  return lines.slice(at, end);
}

const INLINE =
  /`([^`\n]+)`|\*\*([^*\n]+)\*\*|__([^_\n]+)__|~~([^~\n]+)~~|\*([^*\n]+)\*|\b_([^_\n]+)_\b|!?\[([^\]\n]*)\]\(([^()\s]*)\)|\bhttps?:\/\/[^\s<>()]+/g;
const MAX_NESTED = 4;

export function readInline(text: string, depth = 0): Inline[] {
  const parts: Inline[] = [];
  let last = 0;
  const plain = (end: number): void => {
    if (end > last) parts.push({ kind: "text", text: text.slice(last, end) });
  };
  for (const found of depth > MAX_NESTED ? [] : text.matchAll(INLINE)) {
    plain(found.index);
    parts.push(inlineOf(found, depth));
    last = found.index + found[0].length;
  }
  plain(text.length);
  return parts;
}

function inlineOf(found: RegExpMatchArray, depth: number): Inline {
  const [whole, code, strong, strong2, strike, em, em2, label, url] = found;
  const inner = (part: string): Inline[] => readInline(part, depth + 1);
  const bold = strong ?? strong2;
  const slanted = em ?? em2;
  if (code !== undefined) return { kind: "code", text: code };
  if (bold !== undefined) return { kind: "strong", parts: inner(bold) };
  if (strike !== undefined) return { kind: "strike", parts: inner(strike) };
  if (slanted !== undefined) return { kind: "em", parts: inner(slanted) };
  const address = safeAddress(url ?? whole);
  const parts: Inline[] = label === undefined ? [{ kind: "text", text: whole }] : [{ kind: "text", text: label === "" ? (url ?? "") : label }];
  return address === undefined ? { kind: "text", text: label ?? whole } : { kind: "link", url: address, parts };
}

/** Only addresses of pages: nothing that a script could hide in. */
export function safeAddress(text: string): string | undefined {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : undefined;
  } catch {
    return undefined;
  }
}
