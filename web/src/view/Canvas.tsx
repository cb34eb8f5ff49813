// The canvas: one level of the document, as a view. React Flow moves the view and the nodes; the document is ours.

import { ReactFlowProvider, useReactFlow } from "@xyflow/react";
import { useCallback, useLayoutEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { instancePath } from "../model/edit/subgraph";
import { useDocument, useDocumentStore, useWorkspaceStore } from "../state/context";
import { createCamera } from "./camera";
import { PrefixContext, useView, ViewContext } from "./context";
import { createController, type Controller } from "./controller";
import { ControllerContext } from "./controller-context";
import { CommandsContext, type CanvasCommands } from "./commands-context";
import { Flow } from "./Flow";
import { SearchPopup } from "./search/search-popup";
import { CanvasMenu } from "./menu/canvas-menu";
import { rememberEntered } from "./entered";
import { createViewStore } from "./view-store";
import "./canvas.css";

export interface CanvasProps {
  /** Where the shell finds the canvas that is shown; undefined while none is. */
  readonly portRef: { current: Controller | undefined };
  readonly commands: CanvasCommands;
}

export function Canvas(props: CanvasProps): React.JSX.Element {
  return (
    <ReactFlowProvider>
      <CommandsContext.Provider value={props.commands}>
        <Inner {...props} />
      </CommandsContext.Provider>
    </ReactFlowProvider>
  );
}

function Inner({ portRef }: CanvasProps): React.JSX.Element {
  const { t } = useTranslation();
  const flow = useReactFlow();
  const documents = useDocumentStore();
  const workspace = useWorkspaceStore();
  const [controller] = useState(() => {
    const camera = createCamera(flow, () => document.querySelector<HTMLElement>("[data-canvas]"));
    return createController(documents, workspace, createViewStore(), camera);
  });
  const [isMeasured, setMeasured] = useState(false);
  useLayoutEffect(() => {
    portRef.current = controller;
    const stop = rememberEntered(documents, controller.view);
    return () => {
      stop();
      if (portRef.current === controller) portRef.current = undefined;
    };
  }, [portRef, controller, documents]);
  // The first view depends on the size of the canvas, and which nodes are drawn depends on the view.
  const measured = useCallback((place: HTMLElement | null) => setMeasured(place !== null), []);
  return (
    <ViewContext.Provider value={controller.view}>
      <ControllerContext.Provider value={controller}>
        <Prefix>
          <div ref={measured} className="canvas" data-canvas role="application" aria-label={t("view.canvas")}>
            {isMeasured && <Flow />}
            <SearchPopup />
            <CanvasMenu />
          </div>
        </Prefix>
      </ControllerContext.Provider>
    </ViewContext.Provider>
  );
}

/** What the server puts before the ids of the level's nodes. */
function Prefix({ children }: { readonly children: React.ReactNode }): React.JSX.Element {
  const path = useDocument((state) => state.path);
  const entered = useView((view) => view.entered);
  const prefix = useDocument((state) => instancePath(state.document, path, entered).map((id) => `${id}:`).join(""));
  return <PrefixContext.Provider value={prefix}>{children}</PrefixContext.Provider>;
}
