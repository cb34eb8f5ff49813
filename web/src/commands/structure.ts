// Commands for the structure of a graph: frames, subgraphs, blueprints, aligning, automatic layout.

import { all, type Change } from "../model/changes";
import type { Level } from "../model/document";
import { align, distribute, type Alignment } from "../model/edit/align";
import { arrange } from "../model/edit/arrange";
import { fitFrame, frameAround, toggleFrameMode } from "../model/edit/frames";
import { makeSubgraph, makeUnique, renameSubgraph, unpack } from "../model/edit/subgraph";
import { ROOT, levelId, type NodeId } from "../model/ids";
import { NOTHING_SELECTED } from "../state/documents";
import { newId } from "../state/session";
import type { Tab } from "../state/workspace";
import { t } from "../i18n";
import type { Command, CommandContext, CommandTable } from "./command";
import { hasTab } from "./general";
import { changing, hasNodes, hereOf, selects, type Here } from "./graph";
import type { Services } from "./services";

const ALIGNMENTS: readonly Alignment[] = ["left", "centre", "right", "top", "middle", "bottom"];

export function structureCommands(services: Services): CommandTable {
  const two = selects("nodes", 2);
  const three = selects("nodes", 3);
  const hasFrames = selects("frames");
  const eachFrame = (id: string, make: (here: Here, frame: Here["selection"]["frames"]) => Change[]): Command =>
    changing(id, [], hasFrames, (here) => {
      const changes = make(here, here.selection.frames);
      return changes.length === 0 ? undefined : all(...changes);
    });
  return [
    changing("structure.frame", ["mod+g"], hasNodes, ({ document, level, selection, types }) =>
      frameAround(document, level, selection.nodes, t("command.newFrame"), types)?.change,
    ),
    eachFrame("structure.fitFrame", ({ document, level, types }, frames) =>
      [...frames].flatMap((id) => fitFrame(document, level, id, types) ?? []),
    ),
    eachFrame("structure.muteFrame", ({ document, level, types }, frames) =>
      [...frames].flatMap((id) => toggleFrameMode(document, level, id, "mute", types) ?? []),
    ),
    eachFrame("structure.bypassFrame", ({ document, level, types }, frames) =>
      [...frames].flatMap((id) => toggleFrameMode(document, level, id, "bypass", types) ?? []),
    ),
    {
      id: "structure.enter",
      group: "structure",
      keys: ["enter"],
      when: (context) => instanceOf(hereOf(context)) !== undefined,
      run: (context) => {
        const inner = instanceOf(hereOf(context));
        if (inner !== undefined) context.tab?.document.getState().enter(inner);
      },
    },
    ...subgraphCommands(services),
    {
      id: "structure.arrange",
      group: "structure",
      keys: ["l"],
      when: hasTab,
      run: async (context) => {
        const here = hereOf(context);
        if (here === undefined) return;
        const change = await arrange(here.document, here.level, here.selection.nodes, here.types);
        // The layout was made for the document as it was; one that was edited meanwhile keeps its places.
        if (change === undefined || here.tab.document.getState().document !== here.document) return;
        here.tab.document.getState().edit(change, "command.structure.arrange");
      },
    },
    ...ALIGNMENTS.map((how) =>
      changing(`structure.${how}`, [], two, ({ document, level, selection, types }) =>
        align(document, level, selection.nodes, how, types),
      ),
    ),
    ...(["x", "y"] as const).map((axis) =>
      changing(`structure.distribute-${axis}`, [], three, ({ document, level, selection, types }) =>
        distribute(document, level, selection.nodes, axis, types),
      ),
    ),
  ];
}

function subgraphCommands({ ui, blueprints }: Services): CommandTable {
  const isInstance = (context: CommandContext): boolean => instanceOf(hereOf(context)) !== undefined;
  const chosen = ({ selection }: Here): NodeId => [...selection.nodes][0] as NodeId;
  const select = (tab: Tab, nodes: readonly NodeId[]): void =>
    tab.document.getState().select({ ...NOTHING_SELECTED, nodes: new Set(nodes) });
  const on = (id: string, keys: readonly string[], when: Command["when"], run: (here: Here) => void | Promise<void>): Command => ({
    id,
    group: "structure",
    keys,
    when: when ?? hasTab,
    run: (context) => {
      const here = hereOf(context);
      return here === undefined ? undefined : run(here);
    },
  });
  return [
    on("structure.subgraph", ["mod+shift+g"], hasNodes, ({ tab, document, level, selection, types }) => {
      const made = makeSubgraph(document, level, selection.nodes, t("command.newSubgraph"), levelId(newId()), types);
      if (made === undefined) return;
      tab.document.getState().edit(made.change, "command.structure.subgraph");
      select(tab, [made.node]);
    }),
    on("structure.unpack", [], isInstance, (here) => {
      const made = unpack(here.document, here.level, chosen(here));
      if (made === undefined) return;
      here.tab.document.getState().edit(made.change, "command.structure.unpack");
      select(here.tab, made.nodes);
    }),
    on("structure.renameSubgraph", [], isInstance, async (here) => {
      const inner = here.document.levels.get(instanceOf(here) ?? ROOT);
      if (inner?.definition === undefined) return;
      const answer = await ui.getState().ask({
        title: t("command.structure.renameSubgraph"),
        field: { label: t("shell.name"), value: inner.definition.name },
        actions: [{ id: "rename", label: t("shell.rename"), tone: "primary" }],
      });
      const change = answer === undefined ? undefined : renameSubgraph(inner, answer.text.trim());
      if (change !== undefined) here.tab.document.getState().edit(change, "command.structure.renameSubgraph");
    }),
    changing("structure.unique", [], isInstance, (here) => makeUnique(here.document, here.level, chosen(here), levelId(newId()))),
    on("structure.publish", [], isInstance, (here) => blueprints.publish(here.tab, chosen(here))),
    on("structure.blueprint", [], hasTab, () => ui.getState().show("nodes", "blueprints")),
  ];
}

/** The level inside the one node that is selected, if it is an instance of a subgraph. */
function instanceOf(here: Here | undefined): Level["id"] | undefined {
  if (here === undefined || here.selection.nodes.size !== 1) return undefined;
  const node = here.level.nodes.get([...here.selection.nodes][0] as NodeId);
  const inner = node === undefined ? undefined : here.document.levels.get(levelId(node.type));
  return inner?.definition === undefined ? undefined : inner.id;
}
