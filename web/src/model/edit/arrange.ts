// Auto-layout of nodes in a worker that is started when it is first needed and ends with its answer.

import type { Change } from "../changes";
import type { Document, Level } from "../document";
import type { NodeId } from "../ids";
import type { NodeTypes } from "../types";
import { arranged, layoutTask, type LayoutTask, type Places } from "./layout";

/** The change that lays the nodes out anew; with fewer than two given, all of the level. */
export async function arrange(document: Document, level: Level, ids: Iterable<NodeId>, types: NodeTypes): Promise<Change | undefined> {
  const chosen = [...ids];
  const task = layoutTask(document, level, chosen.length > 1 ? chosen : level.nodes.keys(), types);
  return task.nodes.length === 0 ? undefined : arranged(document, level, await inWorker(task), types);
}

function inWorker(task: LayoutTask): Promise<Places> {
  const worker = new Worker(new URL("./layout.worker.ts", import.meta.url), { type: "module" });
  return new Promise<Places>((resolve, reject) => {
    worker.onmessage = (event: MessageEvent<Places>) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(task);
  }).finally(() => worker.terminate());
}
