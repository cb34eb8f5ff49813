// The options of a choice as rows: a tree by the folders in their names, or what a search finds.

import type { Json } from "../model/json";

export interface Row {
  readonly kind: "folder" | "option";
  /** A folder's path, or the place of the option in the list. */
  readonly id: string;
  /** The last part of the name. */
  readonly label: string;
  /** The folders before it, where the row stands outside its tree. */
  readonly path: string;
  readonly depth: number;
  readonly value?: Json;
  readonly isOpen?: boolean;
  /** How many options lie in a folder. */
  readonly count?: number;
}

interface Folder {
  readonly folders: Map<string, Folder>;
  readonly options: Row[];
  count: number;
}

export const optionText = (value: Json): string => (typeof value === "string" ? value : value === null ? "" : String(value));

/** Whether two values are the same option. A file may write 1 where the server says "1". */
export const isSame = (left: Json, right: Json): boolean => left === right;

export const isListed = (options: readonly Json[], value: Json): boolean => options.some((option) => isSame(option, value));

const newFolder = (): Folder => ({ folders: new Map(), options: [], count: 0 });

/** All rows of the tree whose folders are open: folders first, in the order of the options. */
export function treeRows(options: readonly Json[], open: ReadonlySet<string>): Row[] {
  const root = newFolder();
  options.forEach((value, place) => {
    const parts = optionText(value).split(/[/\\]/);
    const label = parts.pop() ?? "";
    let folder = root;
    for (const part of parts) {
      const inner = folder.folders.get(part) ?? newFolder();
      folder.folders.set(part, inner);
      folder = inner;
      folder.count++;
    }
    folder.options.push({ kind: "option", id: String(place), label, path: "", depth: parts.length, value });
  });
  return flat(root, "", 0, open);
}

function flat(folder: Folder, path: string, depth: number, open: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  for (const [label, inner] of folder.folders) {
    const id = `${path}${label}/`;
    const isOpen = open.has(id);
    rows.push({ kind: "folder", id, label, path: "", depth, isOpen, count: inner.count });
    if (isOpen) rows.push(...flat(inner, id, depth + 1, open));
  }
  return [...rows, ...folder.options];
}

/** The folders that lead to an option. */
export function foldersOf(value: Json): string[] {
  const parts = optionText(value).split(/[/\\]/).slice(0, -1);
  return parts.map((_, place) => `${parts.slice(0, place + 1).join("/")}/`);
}

/** What a search finds: every word must be in the name; names that start with the search come first. */
export function searchRows(options: readonly Json[], query: string): Row[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found: { row: Row; rank: number }[] = [];
  options.forEach((value, place) => {
    const text = optionText(value);
    const low = text.toLowerCase();
    if (!words.every((word) => low.includes(word))) return;
    const cut = Math.max(text.lastIndexOf("/"), text.lastIndexOf("\\")) + 1;
    const row: Row = { kind: "option", id: String(place), label: text.slice(cut), path: text.slice(0, cut), depth: 0, value };
    const first = words[0] ?? "";
    found.push({ row, rank: low.startsWith(first) || low.slice(cut).startsWith(first) ? 0 : 1 });
  });
  return found.sort((left, right) => left.rank - right.rank).map((each) => each.row);
}
