// What the outline needs to know of a level: its nodes in execution order, and what may feed an input.

import type { Document, End, Level } from "../../model/document";
import { linkTo } from "../../model/edit/graph";
import { endKey, validTargets } from "../../model/edit/links";
import { NOTES, slotsAt } from "../../model/edit/slots";
import { t } from "../../i18n";
import { INPUTS, type NodeId } from "../../model/ids";
import type { NodeTypes } from "../../model/types";

export interface Source {
  readonly key: string;
  readonly end: End;
  readonly type: string;
  readonly label: string;
}

export const keyOf = (end: End): string => endKey("output", end.node, end.slot);

/** The outputs that may feed an input: those whose type fits and that close no loop, by name of their node. */
export function sourcesFor(document: Document, level: Level, to: End, types: NodeTypes): Source[] {
  const valid = validTargets(document, level, to, "input", types);
  const ids: NodeId[] = [...(level.definition === undefined ? [] : [INPUTS]), ...level.nodes.keys()];
  return ids.flatMap((node) =>
    slotsAt(document, level, node, "output", types)
      .filter((slot) => valid.has(endKey("output", node, slot.name)))
      .map((slot) => {
        const end = { node, slot: slot.name };
        return { key: keyOf(end), end, type: slot.type, label: `${nameOf(level, node, types)} → ${slot.label}` };
      }),
  );
}

export const feeding = (level: Level, to: End): End | undefined => linkTo(level, to)?.from;

export function nameOf(level: Level, id: NodeId, types: NodeTypes, document?: Document): string {
  const node = level.nodes.get(id);
  if (node === undefined) return level.definition?.name ?? id;
  const inner = document?.levels.get(node.type as Level["id"])?.definition?.name;
  const given = NOTES.has(node.type) ? t("view.note.title") : (types.get(node.type)?.title ?? node.type);
  return `${node.title ?? inner ?? given} #${id}`;
}
