// What the page loads before it can be used, compressed: fails above the limit. `node scripts/size.mjs [FOLDER OF THE BUILD]`
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const LIMIT_KB = 400;
const folder = process.argv[2] ?? "dist";

const page = readFileSync(join(folder, "index.html"), "utf8");
const named = [...page.matchAll(/<(?:script|link)\b[^>]*?\b(?:src|href)="([^"]+\.(?:js|css))"/g)].map(([, file]) => file);
if (named.length === 0) throw new Error(`${folder}/index.html loads nothing: has it been built?`);

/** The files that a script imports at once, which the page loads with it whether it names them or not. */
const importsOf = (file, text) =>
  file.endsWith(".js") ? [...text.matchAll(/(?:\bfrom|\bimport)\s*"\.\/([^"]+\.js)"/g)].map(([, name]) => `/assets/${name}`) : [];

const sizes = new Map();
for (const queue = [...named]; queue.length > 0; ) {
  const file = queue.pop();
  if (sizes.has(file)) continue;
  const bytes = readFileSync(join(folder, file));
  sizes.set(file, gzipSync(bytes, { level: 9 }).length / 1000);
  queue.push(...importsOf(file, bytes.toString("utf8")));
}

const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
for (const [file, size] of [...sizes].sort(([, one], [, other]) => other - one)) console.log(`${size.toFixed(1).padStart(8)} kB  ${file}`);
console.log(`${total.toFixed(1).padStart(8)} kB  initially, of at most ${LIMIT_KB} kB`);
if (total > LIMIT_KB) process.exit(1);
