// Where each level of each open document was looked at last, so that tabs and levels come back as they were left.

import type { Viewport } from "@xyflow/react";
import type { LevelId } from "../model/ids";
import type { DocumentStore } from "../state/documents";

const known = new WeakMap<DocumentStore, Map<LevelId, Viewport>>();

export const viewportOf = (documents: DocumentStore, level: LevelId): Viewport | undefined => known.get(documents)?.get(level);

export function keepViewport(documents: DocumentStore, level: LevelId, viewport: Viewport): void {
  const levels = known.get(documents) ?? new Map<LevelId, Viewport>();
  known.set(documents, levels.set(level, viewport));
}
