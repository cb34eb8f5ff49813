// React Flow and the layers in it.

import { Background, BackgroundVariant, ReactFlow, useStore, ViewportPortal, type Node as FlowNode } from "@xyflow/react";
import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useShallow } from "zustand/react/shallow";
import type { Document, Level } from "../model/document";
import { NOTES } from "../model/edit/slots";
import { levelId, ROOT, type LevelId } from "../model/ids";
import type { NodeTypes } from "../model/types";
import { t } from "../i18n";
import { useDocument, useDocumentStore, useLevel, useWorkspace, useWorkspaceStore } from "../state/context";
import { useSetting, useSettingsStore } from "../state/editor";
import { MAX_ZOOM, MIN_ZOOM } from "./camera";
import { FAR, FarContext, useRow, useView } from "./context";
import { useController } from "./controller-context";
import { createFlowNodes, regionOf, sameBox } from "./flow-nodes";
import { createCanvasEvents } from "./gestures/canvas-events";
import { ContextBar } from "./menu/context-bar";
import { Breadcrumb } from "./layers/breadcrumb";
import { Ghosts, Marquee } from "./layers/marks";
import { Minimap } from "./layers/minimap";
import { ViewTools } from "./layers/view-tools";
import { FarLinks } from "./links/far-links";
import { ConnectingLine, LinksLayer } from "./links/links-layer";
import { flowId, named } from "./names";
import { NODE_TYPES } from "./node/types";
import { keepViewport, viewportOf } from "./viewports";

const NO_EDGES: never[] = [];
const NO_KEY = null;
/** Below this zoom no title can be read: boxes in their colours are left. */
const TINY = 0.16;

export function Flow(): React.JSX.Element {
  const controller = useController();
  const documents = useDocumentStore();
  const navigation = useSetting("navigation");
  const grid = useSetting("grid");
  const minimap = useSetting("minimap");
  const locked = useView((view) => view.locked);
  const level = useDocument((state) => state.path.at(-1) ?? ROOT);
  const isFar = useStore((state) => state.transform[2] < FAR);
  const isTiny = useStore((state) => state.transform[2] < TINY);
  const nodes = useFlowNodes();
  const settings = useSettingsStore();
  const workspace = useWorkspaceStore();
  const [{ attach, surface, flow: heard }] = useState(() => createCanvasEvents(controller, settings, workspace));
  const [first] = useState(() => firstView(controller, documents, level));
  useLevelView(level);
  const [figma, free] = [navigation === "figma", !locked];
  return (
    <FarContext.Provider value={isFar}>
      <div
        ref={attach}
        className={`canvas-flow ${isFar ? "is-far" : ""} ${isTiny ? "is-tiny" : ""}`}
        tabIndex={0}
        {...surface}
      >
        <ReactFlow
          nodes={nodes}
          edges={NO_EDGES}
          nodeTypes={NODE_TYPES}
          defaultViewport={first}
          minZoom={MIN_ZOOM}
          maxZoom={MAX_ZOOM}
          // What is given is already only what can be seen (flow-nodes.ts); culling twice would mount nodes twice.
          onlyRenderVisibleElements={false}
          panOnDrag={free && (figma ? [1] : [0, 1])}
          panOnScroll={free && figma}
          zoomOnScroll={free && !figma}
          zoomOnPinch={free}
          zoomOnDoubleClick={false}
          panActivationKeyCode={free ? "Space" : NO_KEY}
          selectionKeyCode={NO_KEY}
          multiSelectionKeyCode={NO_KEY}
          deleteKeyCode={NO_KEY}
          elementsSelectable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          selectNodesOnDrag={false}
          elevateNodesOnSelect={false}
          zIndexMode="manual"
          nodeDragThreshold={0}
          autoPanSpeed={12}
          disableKeyboardA11y
          attributionPosition="bottom-center"
          onMoveEnd={(_, viewport) => keepViewport(documents, level, viewport)}
          {...heard}
        >
          {grid && !isFar && <Background variant={BackgroundVariant.Dots} gap={24} size={1.5} />}
          {isFar && <FarLinks />}
          <InGraph isFar={isFar} />
        </ReactFlow>
      </div>
      <Breadcrumb />
      <ContextBar />
      {minimap && <Minimap />}
      <ViewTools />
    </FarContext.Provider>
  );
}


/** What moves with the graph beside its nodes. */
const InGraph = memo(function InGraph({ isFar }: { readonly isFar: boolean }): React.JSX.Element {
  const region = useRegion();
  return (
    <ViewportPortal>
      {!isFar && <LinksLayer region={region} />}
      <ConnectingLine />
      <Ghosts />
      <Marquee />
    </ViewportPortal>
  );
});

const useRegion = (): ReturnType<typeof regionOf> => useStore((state) => regionOf(state.transform, state.width, state.height), sameBox);

function useFlowNodes(): FlowNode[] {
  const [make] = useState(createFlowNodes);
  const region = useRegion();
  const level = useLevel();
  const document = useDocument((state) => state.document);
  const selection = useDocument((state) => state.selection);
  const types = useWorkspace((state) => state.types);
  const row = useRow();
  const dragged = useView((view) => view.dragged);
  const resized = useView((view) => view.resized);
  const heights = useView((view) => view.heights);
  const held = useView(useShallow((view) => [view.held, view.focused, view.renaming === undefined ? undefined : `n:${view.renaming}`]));
  return useMemo(() => {
    const kept = new Set(held.filter((id) => id !== undefined));
    const name = (id: string): string | undefined => nameOf(id, document, level, types);
    return make({ document, level, types, selection, dragged, resized, heights, row }, region, kept, name);
  }, [make, region, level, document, selection, types, row, dragged, resized, heights, held]);
}

/** What people are told who do not see it. */
function nameOf(id: string, document: Document, level: Level, types: NodeTypes): string | undefined {
  const item = named(id);
  // Frames are often called as a node in them: it is said which is which.
  if (item.kind === "frame") return t("view.frame.called", { title: level.frames.get(item.id)?.title ?? "" });
  const node = item.kind === "node" ? level.nodes.get(item.id) : undefined;
  if (node === undefined) return undefined;
  if (NOTES.has(node.type)) return node.title ?? t("view.note.title");
  return node.title ?? document.levels.get(levelId(node.type))?.definition?.name ?? types.get(node.type)?.title ?? node.type;
}

function firstView(controller: ReturnType<typeof useController>, documents: ReturnType<typeof useDocumentStore>, level: LevelId) {
  const known = viewportOf(documents, level);
  if (known !== undefined) return known;
  const box = controller.boxOf("all");
  return box === undefined ? { x: 0, y: 0, zoom: 1 } : controller.camera.around(box);
}

/** Another level is shown as it was left, or as a whole. */
function useLevelView(level: LevelId): void {
  const controller = useController();
  const documents = useDocumentStore();
  const before = useRef(level);
  useLayoutEffect(() => {
    if (before.current === level) return;
    before.current = level;
    controller.view.getState().set({ hovered: undefined, search: undefined, menu: undefined, focused: undefined, renaming: undefined });
    controller.camera.show(firstView(controller, documents, level));
  }, [controller, documents, level]);
  useReveal();
}

/** What is selected from elsewhere (find, errors, the outline) comes into view. */
function useReveal(): void {
  const controller = useController();
  const documents = useDocumentStore();
  useEffect(
    () =>
      documents.subscribe((now, before) => {
        if (now.selection === before.selection || now.selection.nodes.size !== 1 || controller.view.getState().busy) return;
        const [id] = now.selection.nodes;
        if (id !== undefined && document.activeElement?.closest("[data-canvas]") == null) requestAnimationFrame(() => controller.reveal(flowId.node(id)));
      }),
    [controller, documents],
  );
}
