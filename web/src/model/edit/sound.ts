// What must hold of every document, as a list of what does not. Tests ask it after every change.

import type { Document, Level } from "../document";
import { INPUTS, OUTPUTS } from "../ids";

export function faults(document: Document): string[] {
  return [...document.levels].flatMap(([id, level]) => [
    ...(level.id === id ? [] : [`level ${id} calls itself ${level.id}`]),
    ...levelFaults(level).map((fault) => `${id}: ${fault}`),
  ]);
}

function levelFaults(level: Level): string[] {
  const found: string[] = [];
  for (const kind of ["nodes", "links", "frames", "reroutes"] as const) {
    for (const [id, item] of level[kind]) if (item.id !== id) found.push(`${kind} has ${item.id} under ${id}`);
  }
  const ports = { from: names(level.definition?.inputs), to: names(level.definition?.outputs) };
  const fed = new Set<string>();
  for (const link of level.links.values()) {
    const from = link.from.node === INPUTS ? ports.from.has(link.from.slot) : level.nodes.has(link.from.node);
    const to = link.to.node === OUTPUTS ? ports.to.has(link.to.slot) : level.nodes.has(link.to.node);
    if (!from) found.push(`link ${link.id} comes from nowhere`);
    if (!to) found.push(`link ${link.id} leads nowhere`);
    const end = `${link.to.node} ${link.to.slot}`;
    if (fed.has(end)) found.push(`input ${end} has two links`);
    fed.add(end);
    if (link.via !== undefined && !level.reroutes.has(link.via)) found.push(`link ${link.id} leads through no reroute`);
  }
  for (const reroute of level.reroutes.values()) {
    if (reroute.parent !== undefined && !level.reroutes.has(reroute.parent)) found.push(`reroute ${reroute.id} follows none`);
  }
  if (ports.from.size !== (level.definition?.inputs.length ?? 0)) found.push("two inputs of one name");
  if (ports.to.size !== (level.definition?.outputs.length ?? 0)) found.push("two outputs of one name");
  return found;
}

const names = (ports: readonly { readonly name: string }[] | undefined): Set<string> => new Set((ports ?? []).map((port) => port.name));
