// Undo and redo as lists of changes with their inverses. A gesture (a drag, a scrub) merges into one step.

import type { Change } from "./changes";
import type { Document } from "./document";
import { apply } from "./changes";
import { merged } from "./merge";

export interface Step {
  /** What people read in the history list, a key of the translations. */
  readonly name: string;
  readonly forward: Change;
  readonly inverse: Change;
  /** Changes of the same gesture that follow each other are one step. */
  readonly gesture?: string | undefined;
}

export interface History {
  readonly done: readonly Step[];
  readonly undone: readonly Step[];
}

export interface Edited {
  readonly document: Document;
  readonly history: History;
}

export const NO_HISTORY: History = { done: [], undone: [] };
const MAX_STEPS = 1000;

/** Apply a change and remember it. */
export function edit(now: Edited, change: Change, name: string, gesture?: string): Edited {
  const { document, inverse } = apply(now.document, change);
  const last = now.history.done.at(-1);
  const merges = gesture !== undefined && last?.gesture === gesture;
  const step: Step = merges
    ? { ...last, forward: merged(last.forward, change), inverse: merged(inverse, last.inverse) }
    : { name, forward: change, inverse, gesture };
  const before = merges ? now.history.done.slice(0, -1) : now.history.done.slice(-MAX_STEPS + 1);
  return { document, history: { done: [...before, step], undone: [] } };
}

/** Take the last step back, if there is one. */
export function undo(now: Edited): Edited {
  const step = now.history.done.at(-1);
  if (step === undefined) return now;
  const { document } = apply(now.document, step.inverse);
  return { document, history: { done: now.history.done.slice(0, -1), undone: [...now.history.undone, step] } };
}

/** Do the step again that was taken back last. */
export function redo(now: Edited): Edited {
  const step = now.history.undone.at(-1);
  if (step === undefined) return now;
  const { document } = apply(now.document, step.forward);
  const again: Step = { ...step, gesture: undefined };
  return { document, history: { done: [...now.history.done, again], undone: now.history.undone.slice(0, -1) } };
}
