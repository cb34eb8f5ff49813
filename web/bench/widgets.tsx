// Every widget in every state, to look at: `npx vite` and open /bench/widgets.html (`?theme=light` for the other theme).

import "../src/theme.css"; // first: it says in which order the layers come
import { createRoot } from "react-dom/client";
import { NodeWidgets, CompletionsContext } from "../src/widgets";
import { SAMPLE_TYPES, sampleTab, sampleWorkspace } from "../src/widgets/samples";
import { TabContext, WorkspaceContext } from "../src/state/context";
import { ROOT, nodeId } from "../src/model/ids";
import "./widgets.css";

document.documentElement.dataset["theme"] = new URLSearchParams(location.search).get("theme") ?? "dark";
const workspace = sampleWorkspace();
const tab = sampleTab();
Object.assign(window, { tab });

const shown = ["Sampler", "Text", "Choices", "Odd", "Picture", "Broken"];
const completions = {
  embeddings: ["easynegative", "good-hands", "style/pastel"],
  loras: ["detail", "style/ink", "style/water"],
};

const root = document.getElementById("app");
if (root === null) throw new Error("no place");
createRoot(root).render(
  <WorkspaceContext value={workspace}>
    <TabContext value={tab}>
      <CompletionsContext value={completions}>
        <main className="bench">
          {shown.map((name) => {
            const type = SAMPLE_TYPES.get(name);
            if (type === undefined) return null;
            return (
              <section key={name} className="bench-node">
                <h2>{type.title}</h2>
                <NodeWidgets level={ROOT} node={nodeId(name)} type={type} serverId={name} socket={() => <i className="bench-socket" />} />
              </section>
            );
          })}
        </main>
      </CompletionsContext>
    </TabContext>
  </WorkspaceContext>,
);
