// What must hold of every document, as a list of what does not. Tests ask it after every change.

import type { Document, Level } from "../document";
import { INPUTS, OUTPUTS } from "../ids";

export function faults(document: Document): string[] {
  return [...document.levels].flatMap(([id, level]) => [
    ...(level.id === id ? [] : [`level ${id} calls itself ${level.id}`]),
    ...levelFaults(level).map((fault) => `${id}: ${fault}`),
  ]);
}

const levelFaults = (level: Level): string[] => [
  ...(["nodes", "links", "frames", "reroutes"] as const).flatMap((kind) =>
    [...level[kind]].flatMap(([id, item]) => (item.id === id ? [] : [`${kind} has ${item.id} under ${id}`])),
  ),
  ...linkFaults(level),
  ...rerouteFaults(level),
  ...portFaults(level),
];

function linkFaults(level: Level): string[] {
  const found: string[] = [];
  const ports = { from: names(level.definition?.inputs), to: names(level.definition?.outputs) };
  const fed = new Set<string>();
  for (const { id, from, to } of level.links.values()) {
    const begins = from.node === INPUTS ? ports.from.has(from.slot) : level.nodes.has(from.node);
    const ends = to.node === OUTPUTS ? ports.to.has(to.slot) : level.nodes.has(to.node);
    if (!begins) found.push(`link ${id} comes from nowhere`);
    if (!ends) found.push(`link ${id} leads nowhere`);
    const end = `${to.node} ${to.slot}`;
    if (fed.has(end)) found.push(`input ${end} has two links`);
    fed.add(end);
  }
  return found;
}

const rerouteFaults = (level: Level): string[] => [
  ...[...level.links.values()]
    .filter((link) => link.via !== undefined && !level.reroutes.has(link.via))
    .map((link) => `link ${link.id} leads through no reroute`),
  ...[...level.reroutes.values()]
    .filter((reroute) => reroute.parent !== undefined && !level.reroutes.has(reroute.parent))
    .map((reroute) => `reroute ${reroute.id} follows none`),
];

const portFaults = (level: Level): string[] =>
  (["inputs", "outputs"] as const).flatMap((side) => {
    const ports = level.definition?.[side] ?? [];
    return names(ports).size === ports.length ? [] : [`two ${side} of one name`];
  });

const names = (ports: readonly { readonly name: string }[] | undefined): Set<string> => new Set((ports ?? []).map((port) => port.name));
