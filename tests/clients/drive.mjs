// Drives a server with an API client from npm, and prints what it saw as JSON.
// node drive.mjs HOST:PORT PROMPT.json PICTURE.png
import { readFile } from "node:fs/promises";
import { ComfyUIClient } from "comfy-ui-client";

const [address, promptFile, pictureFile] = process.argv.slice(2);
const prompt = JSON.parse(await readFile(promptFile, "utf8"));
const client = new ComfyUIClient(address, "javascript-client");
const seen = [];

await client.connect();
client.ws.on("message", (data, isBinary) => {
  seen.push(isBinary ? "binary" : JSON.parse(data.toString()).type);
});
const images = await client.getImages(prompt);
const [node] = Object.keys(images);
const [{ blob, image }] = images[node];
const result = {
  seen,
  image,
  bytes: blob.size,
  type: blob.type,
  upload: await client.uploadImage(await readFile(pictureFile), "from-javascript.png", true),
  queue: await client.getQueue(),
  history: Object.keys(await client.getHistory()).length,
  prompt: await client.getPrompt(),
  stats: Object.keys(await client.getSystemStats()),
  embeddings: await client.getEmbeddings(),
  sampler: Object.keys(await client.getObjectInfo("KSampler")),
};
await client.disconnect();
process.stdout.write(`\n${JSON.stringify(result)}\n`);
process.exit(0);
