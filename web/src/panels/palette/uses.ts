// How often and how lately something was used, for ranking: each use adds one, and all fade by a tenth.

const KEY = "easel.uses";
const FADE = 0.9;
const FULL = 5;

let uses: Record<string, number> | undefined;

function known(): Record<string, number> {
  if (uses !== undefined) return uses;
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    uses = typeof stored === "object" && stored !== null ? { ...(stored as Record<string, number>) } : {};
  } catch {
    uses = {};
  }
  return uses;
}

export function rememberUse(id: string): void {
  const faded = Object.entries(known()).map(([name, value]) => [name, value * FADE] as const);
  uses = Object.fromEntries(faded.filter(([, value]) => value > 0.05));
  uses[id] = (uses[id] ?? 0) + 1;
  try {
    localStorage.setItem(KEY, JSON.stringify(uses));
  } catch {
    // then it is forgotten with the page
  }
}

/** 0 to 1. */
export const usesOf = (id: string): number => Math.min(1, (known()[id] ?? 0) / FULL);
