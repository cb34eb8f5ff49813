// What the menus hold.

import { all } from "../../model/changes";
import { addFrame, patchFrame } from "../../model/edit/frames";
import { disconnect } from "../../model/edit/links";
import { colour } from "../../model/edit/nodes";
import { addReroute, removeReroutes, wayOf } from "../../model/edit/reroutes";
import { isPromoted, togglePromoted } from "../../model/edit/ports";
import { slotsOf } from "../../model/edit/slots";
import { innerOf } from "../../model/edit/subgraph";
import { addNote } from "../../model/edit/notes";
import type { FrameId, LinkId, NodeId, RerouteId } from "../../model/ids";
import { newId } from "../../state/session";
import { t } from "../../i18n";
import type { CanvasCommands } from "../commands-context";
import type { Controller } from "../controller";
import { isHidden } from "../links/link-view";
import type { MenuAt } from "../view-store";

export type Item =
  | { readonly kind: "line" }
  | { readonly kind: "command"; readonly id: string }
  | { readonly kind: "action"; readonly label: string; readonly run: () => void; readonly disabled?: boolean; readonly checked?: boolean }
  | { readonly kind: "more"; readonly label: string; readonly items: readonly Item[] }
  | { readonly kind: "colours"; readonly colours: readonly { readonly name: string; readonly value: string | undefined }[]; readonly run: (value: string | undefined) => void };

const LINE: Item = { kind: "line" };
const command = (id: string): Item => ({ kind: "command", id });
const action = (label: string, run: () => void): Item => ({ kind: "action", label, run });

/** Colours by name; dark enough for white text in other editors, tinted by ours. */
const COLOURS: readonly (readonly [string, string | undefined])[] = [
  ["none", undefined],
  ["red", "#d0574f"],
  ["orange", "#cf8138"],
  ["yellow", "#b99a2b"],
  ["green", "#5a9e52"],
  ["cyan", "#3c9c9c"],
  ["blue", "#4a80d0"],
  ["purple", "#8a68cc"],
  ["pink", "#c05f95"],
];

const colours = (run: (value: string | undefined) => void): Item => ({
  kind: "colours",
  colours: COLOURS.map(([name, value]) => ({ name: t(`view.colour.${name}`), value })),
  run,
});

export function itemsFor(at: MenuAt, controller: Controller, commands: CanvasCommands): readonly Item[] {
  switch (at.on.kind) {
    case "pane":
      return paneItems(at, controller);
    case "node":
      return nodeItems(controller, commands, at.on.id as NodeId);
    case "frame":
      return frameItems(controller, at.on.id as FrameId);
    case "link":
      return linkItems(at, controller, at.on.id as LinkId);
    case "reroute":
      return rerouteItems(controller, at.on.id as RerouteId);
  }
}

function paneItems(at: MenuAt, controller: Controller): Item[] {
  const { left, top } = controller.camera.bounds();
  const screen = { x: at.screen.x + left, y: at.screen.y + top };
  return [
    action(t("view.menu.add"), () => requestAnimationFrame(() => controller.openSearch(screen))),
    action(t("view.menu.note"), () => {
      const { document, level } = controller.shown();
      const { change, node } = addNote(document, level, at.place);
      controller.edit(change, "add");
      controller.select({ nodes: new Set([node]) });
    }),
    action(t("view.menu.newFrame"), () => {
      const { document, level } = controller.shown();
      const { change, id } = addFrame(document, level, { ...at.place, width: 400, height: 280 }, t("command.newFrame"));
      controller.edit(change, "frame");
      controller.select({ frames: new Set([id]) });
    }),
    LINE,
    command("edit.paste"),
    command("edit.selectAll"),
    command("structure.arrange"),
    LINE,
    command("view.fit"),
    command("view.find"),
    command("view.minimap"),
  ];
}

const ALIGN = ["left", "centre", "right", "top", "middle", "bottom", "distribute-x", "distribute-y"];

function nodeItems(controller: Controller, commands: CanvasCommands, id: NodeId): Item[] {
  const { document, level, selection } = controller.shown();
  const ids = selection.nodes.has(id) ? selection.nodes : new Set([id]);
  const inner = innerOf(document, level, id);
  return [
    command("node.run"),
    LINE,
    action(t("view.menu.rename"), () => requestAnimationFrame(() => controller.view.getState().set({ renaming: id }))),
    command("node.collapse"),
    command("node.pin"),
    command("node.mute"),
    command("node.bypass"),
    colours((value) => controller.edit(colour(controller.shown().level, ids, value), "colour")),
    LINE,
    ...(inner === undefined ? [] : [action(t("view.node.enter"), () => controller.enter(id)), action(t("view.menu.unpack"), () => controller.unpack(id))]),
    action(t("view.menu.subgraph"), () => controller.makeSubgraph(ids)),
    command("structure.frame"),
    ...(level.definition === undefined ? [] : [{ kind: "more", label: t("view.menu.promote"), items: promotions(controller, id) } as const]),
    { kind: "more", label: t("view.menu.align"), items: ALIGN.map((name) => command(`structure.${name}`)) },
    ...(commands.can("structure.arrange") ? [command("structure.arrange")] : []),
    LINE,
    command("edit.copy"),
    command("edit.duplicate"),
    { kind: "more", label: t("view.menu.links"), items: ["link.cutInputs", "link.cutOutputs", "link.cutAll", "edit.upstream", "edit.downstream"].map(command) },
    command("node.fitSize"),
    command("edit.deleteKeepLinks"),
    command("edit.delete"),
  ];
}

/** The fields of a node in a subgraph; those that the instances show are checked. */
function promotions(controller: Controller, id: NodeId): Item[] {
  const { document, level, types } = controller.shown();
  const node = level.nodes.get(id);
  const fields = node === undefined ? [] : slotsOf(document, node, types).widgets.filter((slot) => slot.unlinkable !== true);
  return fields.map(({ name, label }): Item => {
    const checked = isPromoted(level, id, name);
    const change = togglePromoted(document, level, id, name, newId(), types);
    return { kind: "action", label, checked, disabled: change === undefined, run: () => controller.edit(change, "port") };
  });
}

function frameItems(controller: Controller, id: FrameId): Item[] {
  const recolour = (value: string | undefined): void => controller.edit(patchFrame(controller.shown().level, id, { color: value }), "colour");
  return [
    action(t("view.menu.rename"), () => requestAnimationFrame(() => controller.view.getState().set({ renaming: `f:${id}` }))),
    command("structure.fitFrame"),
    command("structure.muteFrame"),
    command("structure.bypassFrame"),
    colours(recolour),
    LINE,
    command("edit.delete"),
  ];
}

function linkItems(at: MenuAt, controller: Controller, id: LinkId): Item[] {
  const link = controller.shown().level.links.get(id);
  if (link === undefined) return [];
  const { left, top } = controller.camera.bounds();
  return [
    action(t("view.menu.reroute"), () => {
      const { document, level } = controller.shown();
      const place = wayOf(level, link).filter((each) => each.position.x < at.place.x).length;
      controller.edit(addReroute(document, level, id, place, { x: Math.round(at.place.x), y: Math.round(at.place.y) }), "reroute");
    }),
    action(t("view.menu.insert"), () =>
      requestAnimationFrame(() => controller.openSearch({ x: at.screen.x + left, y: at.screen.y + top }, undefined, `in:${link.type} out:${link.type}`)),
    ),
    action(t(isHidden(link) ? "view.menu.showLink" : "view.menu.hideLink"), () => controller.hideLink(id, !isHidden(link))),
    LINE,
    action(t("view.menu.cut"), () => {
      const changes = disconnect(controller.shown().level, [id]);
      if (changes.length > 0) controller.edit(all(...changes), "cut");
    }),
  ];
}

function rerouteItems(controller: Controller, id: RerouteId): Item[] {
  return [
    action(t("view.menu.unreroute"), () => {
      const changes = removeReroutes(controller.shown().level, new Set([id]));
      if (changes.length > 0) controller.edit(all(...changes), "reroute");
    }),
  ];
}

