// A controller over a document without a page, for tests: the camera stands still at full size.

import type { Document } from "../model/document";
import { TYPES } from "../model/edit/testing";
import { settled } from "../model/edit/settle";
import { createDocumentStore, type DocumentStore } from "../state/documents";
import { createWorkspaceStore } from "../state/workspace";
import type { Camera } from "./camera";
import { createController, type Controller } from "./controller";
import { createViewStore } from "./view-store";

const still = (): void => undefined;

export const stillCamera: Camera = {
  fit: still,
  around: () => ({ x: 0, y: 0, zoom: 1 }),
  show: still,
  reveal: still,
  zoomBy: still,
  zoomTo: still,
  panBy: still,
  centre: still,
  toGraph: (point) => point,
  toCanvas: (point) => point,
  middle: () => ({ x: 500, y: 400 }),
  bounds: () => ({ left: 0, top: 0, right: 1000, bottom: 800, width: 1000, height: 800, x: 0, y: 0, toJSON: () => "" }),
};

export function controllerOf(document: Document): { readonly controller: Controller; readonly documents: DocumentStore } {
  const documents = createDocumentStore(document, undefined, (now, change) => settled(now, change, TYPES));
  const workspace = createWorkspaceStore();
  workspace.getState().setTypes(TYPES);
  return { documents, controller: createController(documents, workspace, createViewStore(), stillCamera) };
}
