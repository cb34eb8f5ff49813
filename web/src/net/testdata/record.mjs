// Records what a real server says into recorded.json:
//   node --experimental-websocket src/net/testdata/record.mjs http://127.0.0.1:8188 PROMPT.json
// The server needs the demo model and a pack with the node Fails (inputs image and amount; it raises ValueError).
import { readFileSync, writeFileSync } from "node:fs";

const [base, file] = process.argv.slice(2);
const prompt = JSON.parse(readFileSync(file, "utf8"));
const recorded = {};

const post = async (path, body) => {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(base + path, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, text };
};
const get = async (path) => (await fetch(base + path)).json();
const changed = (change) => {
  const copy = structuredClone(prompt);
  change(copy);
  return copy;
};
const key = (text) => Object.keys(prompt).find((id) => prompt[id].class_type === text);

function listen(clientId) {
  const socket = new WebSocket(`${base.replace("http", "ws")}/ws?clientId=${clientId}`);
  socket.binaryType = "arraybuffer";
  const heard = [];
  let [end, frames] = [() => undefined, 0];
  socket.onopen = () => socket.send('{"type":"feature_flags","data":{"supports_preview_metadata":true}}');
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") {
      if (frames++ < 2) heard.push({ frame: Buffer.from(data).toString("base64") });
      return;
    }
    const message = JSON.parse(data);
    heard.push(message);
    if (message.type === "executing" && message.data.node === null) end();
  };
  return { socket, heard, opened: new Promise((go) => socket.addEventListener("open", go)), ended: new Promise((go) => (end = go)) };
}

async function scenario(name, graph, options = {}, during = () => undefined) {
  const line = listen(`recorder-${name}`);
  await line.opened;
  const body = { prompt: graph, client_id: `recorder-${name}`, prompt_id: `job-${name}`, ...options };
  const answer = await post("/prompt", body);
  if (answer.status === 200) {
    await during(line);
    await line.ended;
  }
  line.socket.close();
  const own = answer.status === 200;
  recorded[name] = {
    prompt: graph,
    answer,
    heard: line.heard,
    ...(own ? { events: await get(`/api/v1/jobs/job-${name}/events`), job: await get(`/api/v1/jobs/job-${name}`) } : {}),
  };
}

const sampler = key("KSampler");
const decode = key("VAEDecode");
const save = key("SaveImage");
const short = changed((graph) => (graph[sampler].inputs.steps = 4));
await post("/free", { unload_models: true, free_memory: true });
await new Promise((go) => setTimeout(go, 1500));
await scenario("fresh", short, { extra_data: { preview_method: "latent2rgb" } });
await scenario("cached", short);
await scenario("seed", changed((graph) => Object.assign(graph[sampler].inputs, { seed: 99, steps: 4 })));
const failing = changed((graph) => {
  graph["20"] = { class_type: "Fails", inputs: { image: [decode, 0], amount: 7 } };
  graph[save].inputs.images = ["20", 0];
  graph[sampler].inputs.steps = 4;
});
await scenario("raises", failing);
const long = changed((graph) => Object.assign(graph[sampler].inputs, { steps: 2000, seed: 5 }));
await scenario("interrupted", long, {}, async () => {
  await new Promise((go) => setTimeout(go, 700));
  await post("/interrupt", {});
});
await scenario("refused", changed((graph) => Object.assign(graph[sampler].inputs, { steps: 0, sampler_name: "nope" })));
const partly = changed((graph) => {
  graph[sampler].inputs.steps = 4;
  graph["21"] = { class_type: "ImageInvert", inputs: { image: ["9999", 0] } };
  graph["22"] = { class_type: "PreviewImage", inputs: { images: ["21", 0] } };
});
await scenario("partly", partly);
writeFileSync(new URL("recorded.json", import.meta.url), `${JSON.stringify(recorded, null, 1)}\n`);
process.exit(0);
