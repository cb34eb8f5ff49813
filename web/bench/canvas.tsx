// The canvas alone with a document of many nodes (`?nodes=1000&theme=light`), without a server. bench/frames.mjs measures it.

import "../src/theme.css"; // first: it says in which order the layers come
import "../src/shell.css";
import { createRoot } from "react-dom/client";
import { Canvas } from "../src/view/Canvas";
import { TabContext, WorkspaceContext } from "../src/state/context";
import { createDocumentStore } from "../src/state/documents";
import { createRunsStore } from "../src/state/runs";
import { createWorkspaceStore, type Tab } from "../src/state/workspace";
import { BENCH_TYPES, benchDocument } from "./documents";

const asked = new URLSearchParams(location.search);
document.documentElement.dataset["theme"] = asked.get("theme") ?? "dark";
const begun = performance.now();
const workspace = createWorkspaceStore();
workspace.getState().setTypes(BENCH_TYPES);
const tab: Tab = {
  id: "tab",
  title: "Bench",
  unsaved: false,
  document: createDocumentStore(benchDocument(Number(asked.get("nodes") ?? 1000))),
  runs: createRunsStore(),
};
const port = { current: undefined };
const commands = { act: () => undefined, can: () => true, keys: () => "" };
Object.assign(window, { tab, port, bench: { begun, opened: undefined as number | undefined } });

const root = document.getElementById("app");
if (root === null) throw new Error("no place");
createRoot(root).render(
  <WorkspaceContext value={workspace}>
    <TabContext value={tab}>
      <main style={{ position: "relative", height: "100%" }}>
        <Canvas portRef={port} commands={commands} />
      </main>
    </TabContext>
  </WorkspaceContext>,
);
requestAnimationFrame(() => setTimeout(() => Object.assign((window as unknown as { bench: object }).bench, { opened: performance.now() - begun })));
