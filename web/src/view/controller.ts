// What the canvas does to the document and to the view. Components call it; it holds no state of its own.

import type { Change } from "../model/changes";
import type { Document, Level, Point } from "../model/document";
import { levelOf } from "../model/document";
import { duplicate } from "../model/edit/fragment";
import { frameBox } from "../model/edit/frames";
import { linkTo } from "../model/edit/graph";
import { addPort } from "../model/edit/ports";
import { connect, disconnect, fittingSlot, insertOnLink, moveLink, other, validTargets } from "../model/edit/links";
import { addNode, place, rename, type Moved } from "../model/edit/nodes";
import { used, type Uses } from "../model/edit/search";
import { HEAD, around, boxOf, snapped, type Box } from "../model/edit/size";
import { omit } from "../model/edit/omit";
import { slotAt } from "../model/edit/slots";
import { innerOf, instancePath, makeSubgraph, unpack } from "../model/edit/subgraph";
import { INPUTS, levelId, OUTPUTS, ROOT, type LinkId, type NodeId } from "../model/ids";
import { all } from "../model/changes";
import type { NodeType, NodeTypes } from "../model/types";
import { NOTHING_SELECTED, type DocumentState, type DocumentStore, type Selection } from "../state/documents";
import type { WorkspaceStore } from "../state/workspace";
import { t } from "../i18n";
import { newId } from "../state/session";
import type { Camera } from "./camera";
import { END_WIDTH, endHeight } from "./links/geometry";
import { named } from "./names";
import { readUses, writeUses } from "./uses";
import type { Connecting, MenuAt, ViewStore } from "./view-store";

export interface Shown {
  readonly document: Document;
  readonly level: Level;
  readonly types: NodeTypes;
  readonly selection: Selection;
}

export interface Controller {
  readonly camera: Camera;
  readonly view: ViewStore;
  readonly documents: DocumentStore;
  shown(): Shown;
  edit(change: Change | undefined, name: string, gesture?: string): void;
  select(selection: Partial<Selection>): void;
  /** The box around what is selected, or around all of the level. */
  boxOf(which: "all" | "selection"): Box | undefined;
  fit(which: "all" | "selection"): void;
  /** Bring something into view, by its flow id. */
  reveal(id: string): void;
  zoom(by: "in" | "out" | "full"): void;
  /** Begin a link at an end; at a linked input, take its link up. */
  begin(end: Connecting["end"], side: Connecting["side"], byTap: boolean, move: boolean): Connecting | undefined;
  /** End the link on an end, given by its key. */
  finishOn(connecting: Connecting, key: string): void;
  /** End the link on a node's body. Answers false if nothing there fits. */
  finishOnNode(connecting: Connecting, node: NodeId): boolean;
  /** End it on empty ground: what was moved is cut, else a fitting node is searched. */
  finishOnNothing(connecting: Connecting, screen: Point): void;
  /** Search nodes at a place of the window; without one, where the pointer was last. */
  openSearch(screen?: Point, from?: Connecting, filter?: string): void;
  pointerAt(screen: Point): void;
  /** Open the menu of something, or of the empty ground, at a place of the window. */
  openMenu(screen: Point, on: MenuAt["on"]): void;
  addFound(type: NodeType): void;
  /** Put a node of a type at a place of the window. */
  addAt(type: NodeType, screen: Point): void;
  drop(moved: Moved, insert: { node: NodeId; link: LinkId } | undefined): void;
  dropCopies(by: Point): void;
  cut(ids: readonly LinkId[]): void;
  rename(id: NodeId, title: string): void;
  /** Show a link, or hide it until it is asked for. */
  hideLink(id: LinkId, hidden: boolean): void;
  makeSubgraph(ids: ReadonlySet<NodeId>): void;
  unpack(id: NodeId): void;
  enter(id: NodeId): boolean;
  leave(): boolean;
  uses(): Uses;
}

export function createController(documents: DocumentStore, workspace: WorkspaceStore, view: ViewStore, camera: Camera): Controller {
  const state = (): DocumentState => documents.getState();
  const shown = (): Shown => {
    const { document, path, selection } = state();
    return { document, level: levelOf(document, path.at(-1) ?? ROOT), types: workspace.getState().types, selection };
  };
  const edit: Controller["edit"] = (change, name, gesture) => {
    if (change !== undefined) state().edit(change, `view.step.${name}`, gesture);
  };
  const select = (selection: Partial<Selection>): void => state().select({ ...NOTHING_SELECTED, ...selection });
  let uses = readUses();
  let last: Point | undefined;

  const box: Controller["boxOf"] = (which) => {
    const { document, level, types, selection } = shown();
    const all = which === "all" || (selection.nodes.size === 0 && selection.frames.size === 0);
    const nodes = [...level.nodes.values()].filter((node) => all || selection.nodes.has(node.id)).map((node) => boxOf(document, node, types));
    const frames = [...level.frames.values()].filter((frame) => all || selection.frames.has(frame.id)).map(frameBox);
    return around([...nodes, ...frames, ...(all ? endBoxes(level) : [])]);
  };

  /** Link two ends, whichever way round; a moved link keeps its id. */
  const link = ({ end, side, moves }: Connecting, slot: { node: NodeId; slot: string }): void => {
    const { document, level, types } = shown();
    const port = slot.slot === "" && (slot.node === INPUTS || slot.node === OUTPUTS);
    if (port) return edit(addPort(document, level, end, side, newId(), types)?.change, "port");
    const [from, to] = side === "output" ? [end, slot] : [slot, end];
    const type = typeAt(from, shown()) ?? "*";
    edit(moves === undefined ? connect(document, level, from, to, type) : moveLink(level, moves, "input", to, type), "link");
  };

  const search: Controller["openSearch"] = (screen, from, filter = "") => {
    const { left, top, width, height } = camera.bounds();
    const at = screen ?? last ?? { x: left + width / 2, y: top + height / 3 };
    view.getState().set({
      search: { screen: { x: at.x - left, y: at.y - top }, place: camera.toGraph(at), filter, ...(from === undefined ? {} : { from }) },
      connecting: undefined,
    });
  };

  return {
    camera,
    view,
    documents,
    shown,
    edit,
    select,
    boxOf: box,
    fit: (which) => camera.fit(box(which)),
    reveal: (id) => {
      const { document, level, types } = shown();
      const node = level.nodes.get(named(id).id as NodeId);
      if (node !== undefined) camera.reveal(boxOf(document, node, types));
    },
    zoom: (by) => (by === "full" ? camera.zoomTo(1) : camera.zoomBy(by === "in" ? 1.25 : 0.8)),
    openMenu: (screen, on) => {
      const { left, top } = camera.bounds();
      view.getState().set({ menu: { screen: { x: screen.x - left, y: screen.y - top }, place: camera.toGraph(screen), on }, hovered: undefined });
    },
    addAt: (type, screen) => {
      const { document, level } = shown();
      const { change, node } = addNode(document, level, type, snapped(camera.toGraph(screen)));
      edit(change, "add");
      select({ nodes: new Set([node.id]) });
    },
    begin: (end, side, byTap, move) => {
      const { document, level, types } = shown();
      const old = side === "input" && move ? linkTo(level, end) : undefined;
      const [start, way] = old === undefined ? [end, side] : [old.from, "output" as const];
      const type = typeAt(start, shown(), way) ?? old?.type;
      if (type === undefined) return undefined;
      const targets = validTargets(document, level, start, way, types);
      const extra = level.definition === undefined ? undefined : `${other(way)}\n${way === "output" ? OUTPUTS : INPUTS}\n`;
      if (extra !== undefined && start.node !== INPUTS && start.node !== OUTPUTS) targets.add(extra);
      const connecting: Connecting = { end: start, side: way, type, targets, nodes: new Set([...targets].map((key) => key.split("\n")[1] ?? "")), byTap, ...(old === undefined ? {} : { moves: old.id }) };
      view.getState().set({ connecting, over: undefined, pointer: undefined, hovered: undefined });
      return connecting;
    },
    finishOn: (connecting, key) => {
      const [, node, slot] = key.split("\n");
      view.getState().set({ connecting: undefined, over: undefined, pointer: undefined });
      if (node !== undefined && slot !== undefined) link(connecting, { node: node as NodeId, slot });
    },
    finishOnNode: (connecting, node) => {
      const { document, level, types } = shown();
      const slot = fittingSlot(document, level, node, other(connecting.side), connecting.type, types);
      view.getState().set({ connecting: undefined, over: undefined, pointer: undefined });
      const key = `${other(connecting.side)}\n${node}\n${slot?.name ?? ""}`;
      if (slot === undefined || !connecting.targets.has(key)) return false;
      link(connecting, { node, slot: slot.name });
      return true;
    },
    finishOnNothing: (connecting, screen) => {
      view.getState().set({ connecting: undefined, over: undefined, pointer: undefined });
      if (connecting.moves === undefined) return search(screen, connecting, `${connecting.side === "output" ? "in" : "out"}:${connecting.type} `);
      const changes = disconnect(shown().level, [connecting.moves]);
      if (changes.length > 0) edit(all(...changes), "cut");
    },
    openSearch: search,
    pointerAt: (screen) => {
      last = screen;
    },
    addFound: (type) => {
      const at = view.getState().search;
      const { document, level, types } = shown();
      if (at === undefined) return;
      const offset = at.from === undefined ? { x: -HEAD, y: -HEAD / 2 } : { x: at.from.side === "output" ? 0 : -240, y: -44 };
      const { change, node } = addNode(document, level, type, snapped({ x: at.place.x + offset.x, y: at.place.y + offset.y }));
      const gesture = `add ${node.id}`;
      edit(change, "add", gesture);
      if (at.from !== undefined) {
        const now = shown();
        const slot = fittingSlot(now.document, now.level, node.id, other(at.from.side), at.from.type, types);
        const ends = slot === undefined ? undefined : { node: node.id, slot: slot.name };
        if (ends !== undefined) {
          const [from, to] = at.from.side === "output" ? [at.from.end, ends] : [ends, at.from.end];
          edit(connect(now.document, now.level, from, to, typeAt(from, now) ?? at.from.type), "add", gesture);
        }
      }
      uses = used(uses, type.name);
      writeUses(uses);
      view.getState().set({ search: undefined });
      select({ nodes: new Set([node.id]) });
    },
    drop: (moved, insert) => {
      const { document, level, types } = shown();
      const change = place(level, moved);
      const put = insert === undefined ? undefined : insertOnLink(document, level, insert.node, insert.link, types);
      const changes = [change, put].filter((each) => each !== undefined);
      if (changes.length > 0) edit(all(...changes), put === undefined ? "move" : "insert");
    },
    dropCopies: (by) => {
      const { document, level, selection } = shown();
      const made = duplicate(document, level, selection.nodes, selection.frames, by);
      if (made === undefined) return;
      edit(made.change, "copy");
      select({ nodes: new Set(made.nodes), frames: new Set(made.frames) });
    },
    cut: (ids) => {
      const changes = disconnect(shown().level, ids);
      if (changes.length > 0) edit(all(...changes), "cut");
    },
    rename: (id, title) => edit(rename(shown().level, id, title), "rename"),
    hideLink: (id, hidden) => {
      const { level } = shown();
      const rest = { ...level.links.get(id)?.rest, hidden };
      edit({ kind: "patch-link", level: level.id, id, patch: { rest: hidden ? rest : omit(rest, "hidden") } }, "hide");
    },
    makeSubgraph: (ids) => {
      const { document, level, types } = shown();
      const made = makeSubgraph(document, level, ids, t("view.subgraph.name"), levelId(newId()), types);
      if (made === undefined) return;
      edit(made.change, "subgraph");
      select({ nodes: new Set([made.node]) });
    },
    unpack: (id) => {
      const { document, level } = shown();
      const made = unpack(document, level, id);
      if (made === undefined) return;
      edit(made.change, "unpack");
      select({ nodes: new Set(made.nodes) });
    },
    enter: (id) => {
      const { document, level } = shown();
      const inner = innerOf(document, level, id);
      if (inner === undefined || state().path.includes(inner.id)) return false;
      const before = instancePath(document, state().path, view.getState().entered);
      view.getState().set({ entered: [...before, id] });
      state().enter(inner.id);
      return true;
    },
    leave: () => {
      const depth = state().path.length - 2;
      if (depth < 0) return false;
      state().leaveTo(depth);
      return true;
    },
    uses: () => uses,
  };
}

function typeAt(end: Connecting["end"], { document, level, types }: Shown, side: Connecting["side"] = "output"): string | undefined {
  return slotAt(document, level, end, side, types)?.type;
}

/** The boxes of a subgraph's inputs and outputs. */
export function endBoxes(level: Level): Box[] {
  const definition = level.definition;
  if (definition === undefined) return [];
  return [
    { ...definition.inputPosition, width: END_WIDTH, height: endHeight(definition.inputs, 24) },
    { ...definition.outputPosition, width: END_WIDTH, height: endHeight(definition.outputs, 24) },
  ];
}
