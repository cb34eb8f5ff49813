// The files that were open here lately, the last one first.

const KEY = "easel.recent";
export const MOST_RECENT = 6;

type Local = Pick<Storage, "getItem" | "setItem">;

export function recentFiles(local: Local): readonly string[] {
  try {
    const stored: unknown = JSON.parse(local.getItem(KEY) ?? "[]");
    return Array.isArray(stored) ? stored.filter((path) => typeof path === "string") : [];
  } catch {
    return [];
  }
}

export function rememberFile(local: Local, path: string): void {
  const others = recentFiles(local).filter((known) => known !== path);
  try {
    local.setItem(KEY, JSON.stringify([path, ...others].slice(0, MOST_RECENT)));
  } catch {
    // then the list of saved files, the newest first, has to do
  }
}
