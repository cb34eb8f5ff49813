// Ids that nothing uses yet. They count on from the highest number, as the community's files do.

import type { Document, Level } from "../document";
import { frameId, linkId, nodeId, rerouteId, type FrameId, type LinkId, type NodeId, type RerouteId } from "../ids";

export interface FreeIds {
  node(): NodeId;
  link(): LinkId;
  frame(): FrameId;
  reroute(): RerouteId;
}

/** Gives ids that are free in `level`; each call gives another one. Node ids are free in the whole document. */
export function freeIds(document: Document, level: Level): FreeIds {
  return {
    node: counter(() => highest([...document.levels.values()].flatMap((each) => [...each.nodes.keys()])), nodeId),
    link: counter(() => highest(level.links.keys()), linkId),
    frame: counter(() => highest(level.frames.keys()), frameId),
    reroute: counter(() => highest(level.reroutes.keys()), rerouteId),
  };
}

function counter<T>(start: () => number, brand: (value: number) => T): () => T {
  let last: number | undefined;
  return () => {
    last = (last ?? start()) + 1;
    return brand(last);
  };
}

function highest(ids: Iterable<string>): number {
  let most = 0;
  for (const id of ids) {
    const value = Number(id);
    if (Number.isSafeInteger(value) && value > most) most = value;
  }
  return most;
}

/** `wanted`, or with a number behind it where that is taken. */
export function freeName(wanted: string, taken: ReadonlySet<string>): string {
  if (!taken.has(wanted)) return wanted;
  let count = 2;
  while (taken.has(`${wanted}_${count}`)) count++;
  return `${wanted}_${count}`;
}
