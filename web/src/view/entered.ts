// Which instance a subgraph was entered through: the same inside runs under another id in each of them.

import { instancePath } from "../model/edit/subgraph";
import { ROOT, type NodeId } from "../model/ids";
import type { DocumentStore } from "../state/documents";
import type { ViewStore } from "./view-store";

/** However a level is entered, the instance is the one that was selected, unless the canvas said which. */
export function rememberEntered(documents: DocumentStore, view: ViewStore): () => void {
  return documents.subscribe((now, before) => {
    const depth = before.path.length - 1;
    if (now.path.length !== before.path.length + 1) return;
    const outer = now.document.levels.get(before.path[depth] ?? ROOT);
    const isIt = (id: NodeId | undefined): boolean => id !== undefined && outer?.nodes.get(id)?.type === now.path.at(-1);
    const { entered, set } = view.getState();
    const [selected] = before.selection.nodes;
    if (isIt(entered[depth]) || selected === undefined || !isIt(selected)) return;
    set({ entered: [...instancePath(now.document, before.path, entered), selected] });
  });
}
