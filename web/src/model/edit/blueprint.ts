// Blueprints: a subgraph as data that stands for itself, to be kept and put into other documents.

import type { Document, Level, Point } from "../document";
import type { NodeId } from "../ids";
import { copyOf, paste, type Fragment, type Pasted } from "./fragment";
import { innerOf } from "./subgraph";

export interface Blueprint {
  readonly name: string;
  readonly description: string;
  readonly category: string;
  /** One instance, and every level that it needs. */
  readonly fragment: Fragment;
}

/** The blueprint of an instance; its links to others are left behind. */
export function publish(document: Document, level: Level, id: NodeId): Blueprint | undefined {
  const inner = innerOf(document, level, id);
  if (inner?.definition === undefined) return undefined;
  const { name, description, category } = inner.definition;
  return { name, description: description ?? "", category: category ?? "", fragment: { ...copyOf(document, level, [id]), links: [] } };
}

/** Put an instance of a blueprint into a level. */
export const useBlueprint = (document: Document, level: Level, blueprint: Blueprint, at: Point): Pasted =>
  paste(document, level, blueprint.fragment, { at });
