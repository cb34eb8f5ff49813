// Workflows of the journeys' own, in the place of those of the build that are called so: what people do is told with nodes
// that stay as they are, however the examples in workflows/ are laid out and framed.

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BrowserContext } from "playwright-core";

const FOLDER = fileURLToPath(new URL("../examples/", import.meta.url));
const NAMES = readdirSync(FOLDER).map((file) => file.replace(/\.json$/, ""));

export const exampleFile = (name: string): string => `${FOLDER}${name}.json`;

/** What the build's examples are fetched as: their name and a digest. */
const ADDRESS = new RegExp(`/assets/(${NAMES.join("|")})-[\\w-]{8}\\.json$`);

export async function withExamples(context: BrowserContext): Promise<void> {
  await context.route(ADDRESS, (route) => route.fulfill({ path: exampleFile(ADDRESS.exec(route.request().url())?.[1] ?? ""), contentType: "application/json" }));
}
