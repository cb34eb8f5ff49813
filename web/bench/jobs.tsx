// Jobs and errors beside each other, from a real server behind Vite's proxy, or `?jobs=10000` made up ones:
// `npx vite` and open /bench/jobs.html (`&theme=light`, `&lang=zh`, `&waiting=200`).

import "../src/theme.css"; // first: it says in which order the layers come
import "../src/shell.css";
import { createRoot } from "react-dom/client";
import { createStore } from "zustand/vanilla";
import { setLanguage } from "../src/i18n";
import { connect, createClient } from "../src/net";
import { ErrorsList } from "../src/panels/errors/errors-list";
import { describeFaults } from "../src/panels/errors/describe";
import { JobsBoard } from "../src/panels/queue/jobs-board";
import { createJobsStore } from "../src/panels/queue/jobs-store";
import type { LiveState } from "../src/panels/queue/run-controller";
import { fakeJobs, fakeJobsClient } from "../src/panels/queue/samples";
import { FAULTS } from "../src/panels/errors/samples";
import "./jobs.css";

const asked = new URLSearchParams(location.search);
document.documentElement.dataset["theme"] = asked.get("theme") ?? "dark";
setLanguage(asked.get("lang") === "zh" ? "zh" : "en");

const client = createClient();
const made = Number(asked.get("jobs") ?? 0);
const source = made > 0 ? fakeJobsClient(fakeJobs(made, Number(asked.get("waiting") ?? 0))) : client;
const connection = made > 0 ? { isOpen: () => false, listen: () => () => undefined } : connect({ url: "", clientId: client.clientId });
const jobs = createJobsStore(source, connection);
void jobs.getState().refresh();
const live = createStore<LiveState>()(() => ({ jobs: {} }));
Object.assign(window, { jobs, live });

const root = document.getElementById("app");
if (root === null) throw new Error("no place");
createRoot(root).render(
  <main className="bench-jobs">
    <aside className="side-panel" data-panel="jobs">
      <div className="panel-body">
        <JobsBoard jobs={jobs} live={live} client={client} onOpenWorkflow={(job) => console.info("open", job.id)} />
      </div>
    </aside>
    <aside className="side-panel" data-panel="errors">
      <div className="panel-body">
        <ErrorsList errors={describeFaults(FAULTS, new Map())} onShow={(node, input) => console.info("show", node, input)} />
      </div>
    </aside>
  </main>,
);
