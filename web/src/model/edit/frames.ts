// Frames: boxes under the nodes. What lies in one belongs to it; nothing of that is stored.

import type { Change, FramePatch } from "../changes";
import type { Document, Frame, Level, Mode, Point } from "../document";
import type { FrameId, NodeId, RerouteId } from "../ids";
import type { NodeTypes } from "../types";
import { freeIds } from "./free";
import { place, present, toggleMode } from "./nodes";
import { around, boxOf, holds, type Box } from "./size";

export const FRAME_HEAD = 32;
export const FRAME_PAD = 16;

export const frameBox = (frame: Frame): Box => ({ ...frame.position, ...frame.size });

export interface Members {
  readonly nodes: readonly NodeId[];
  readonly frames: readonly FrameId[];
  readonly reroutes: readonly RerouteId[];
}

/** What lies in a frame: nodes whose middle is in it, and frames that are wholly in it. */
export function membersOf(document: Document, level: Level, frame: Frame, types: NodeTypes): Members {
  const box = frameBox(frame);
  const nodes = [...level.nodes.values()].filter((node) => holds(box, middle(boxOf(document, node, types))));
  const frames = [...level.frames.values()].filter((inner) => {
    const corner = { x: inner.position.x + inner.size.width, y: inner.position.y + inner.size.height };
    return inner.id !== frame.id && holds(box, inner.position) && holds(box, corner) && smaller(inner, frame);
  });
  const reroutes = [...level.reroutes.values()].filter((reroute) => holds(box, reroute.position));
  return { nodes: nodes.map(({ id }) => id), frames: frames.map(({ id }) => id), reroutes: reroutes.map(({ id }) => id) };
}

const middle = (box: Box): Point => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
const smaller = (a: Frame, b: Frame): boolean => a.size.width * a.size.height < b.size.width * b.size.height;

const boxAround = (box: Box): Box => ({
  x: box.x - FRAME_PAD,
  y: box.y - FRAME_PAD - FRAME_HEAD,
  width: box.width + 2 * FRAME_PAD,
  height: box.height + 2 * FRAME_PAD + FRAME_HEAD,
});

/** A frame around the nodes. */
export function frameAround(document: Document, level: Level, ids: Iterable<NodeId>, title: string, types: NodeTypes): { change: Change; id: FrameId } | undefined {
  const box = around(present(level, ids).map((node) => boxOf(document, node, types)));
  return box === undefined ? undefined : addFrame(document, level, boxAround(box), title);
}

export function addFrame(document: Document, level: Level, box: Box, title: string): { change: Change; id: FrameId } {
  const id = freeIds(document, level).frame();
  const frame: Frame = { id, title, position: { x: box.x, y: box.y }, size: { width: box.width, height: box.height }, rest: {} };
  return { id, change: { kind: "add-frame", level: level.id, frame } };
}

export const patchFrame = (level: Level, id: FrameId, patch: FramePatch): Change => ({ kind: "patch-frame", level: level.id, id, patch });

/** Fit a frame to what lies in it. */
export function fitFrame(document: Document, level: Level, id: FrameId, types: NodeTypes): Change | undefined {
  const frame = level.frames.get(id);
  if (frame === undefined) return undefined;
  const members = membersOf(document, level, frame, types);
  const frames = members.frames.flatMap((inner) => [...(level.frames.has(inner) ? [level.frames.get(inner)] : [])]);
  const boxes = [
    ...present(level, members.nodes).map((node) => boxOf(document, node, types)),
    ...frames.flatMap((inner) => (inner === undefined ? [] : [frameBox(inner)])),
  ];
  const box = around(boxes);
  if (box === undefined) return undefined;
  const { x, y, width, height } = boxAround(box);
  return patchFrame(level, id, { position: { x, y }, size: { width, height } });
}

/** Move a frame and what lies in it. */
export function moveFrame(document: Document, level: Level, id: FrameId, by: Point, types: NodeTypes): Change | undefined {
  const frame = level.frames.get(id);
  if (frame === undefined) return undefined;
  const members = membersOf(document, level, frame, types);
  const moved = <T>(ids: readonly T[], from: ReadonlyMap<T, { position: Point }>): Map<T, Point> =>
    new Map(ids.map((each) => {
      const at = from.get(each)?.position ?? { x: 0, y: 0 };
      return [each, { x: at.x + by.x, y: at.y + by.y }];
    }));
  return place(level, {
    nodes: moved(members.nodes, level.nodes),
    frames: moved([id, ...members.frames], level.frames),
    reroutes: moved(members.reroutes, level.reroutes),
  });
}

/** Mute or bypass what lies in a frame, or take that back. */
export function toggleFrameMode(document: Document, level: Level, id: FrameId, mode: Exclude<Mode, "normal">, types: NodeTypes): Change | undefined {
  const frame = level.frames.get(id);
  return frame === undefined ? undefined : toggleMode(level, membersOf(document, level, frame, types).nodes, mode);
}
