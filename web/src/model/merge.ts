// Two changes as one, as small as it can be: a drag of minutes would otherwise be a step of thousands of changes.

import { all, type Change } from "./changes";

const listed = (change: Change): readonly Change[] => (change.kind === "all" ? change.changes : [change]);

/** What a change sets anew as a whole or by its fields; such changes of different things can trade places. */
function target(change: Change): string | undefined {
  switch (change.kind) {
    case "patch-node":
    case "patch-link":
    case "patch-frame":
    case "move-reroute":
      return JSON.stringify([change.kind, change.level, change.id]);
    case "define-level":
      return JSON.stringify([change.kind, change.id]);
    default:
      return undefined;
  }
}

/** `first` and then `second`, of the same target. */
function both(first: Change, second: Change): Change {
  if (first.kind === "patch-node" && second.kind === "patch-node") return { ...second, patch: { ...first.patch, ...second.patch } };
  if (first.kind === "patch-link" && second.kind === "patch-link") return { ...second, patch: { ...first.patch, ...second.patch } };
  if (first.kind === "patch-frame" && second.kind === "patch-frame") return { ...second, patch: { ...first.patch, ...second.patch } };
  return second;
}

/** The change that does what `first` and then `second` do. */
export function merged(first: Change, second: Change): Change {
  const changes = [...listed(first), ...listed(second)];
  const byTarget = new Map<string, Change>();
  for (const change of changes) {
    const key = target(change);
    if (key === undefined) return all(...changes);
    const before = byTarget.get(key);
    byTarget.set(key, before === undefined ? change : both(before, change));
  }
  return all(...byTarget.values());
}
