// How often each node type was put into a graph, kept in this browser.

import { NO_USES, type Uses } from "../model/edit/search";

const KEY = "easel.uses";

export function readUses(): Uses {
  try {
    const data: unknown = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (typeof data !== "object" || data === null || !("counts" in data) || !("recent" in data)) return NO_USES;
    const { counts, recent } = data;
    if (typeof counts !== "object" || counts === null || !Array.isArray(recent)) return NO_USES;
    const numbers = Object.entries(counts).filter((entry): entry is [string, number] => typeof entry[1] === "number");
    return { counts: Object.fromEntries(numbers), recent: recent.filter((name) => typeof name === "string") };
  } catch {
    return NO_USES;
  }
}

export function writeUses(uses: Uses): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(uses));
  } catch {
    // a full or forbidden store costs nothing but the order of search results
  }
}
