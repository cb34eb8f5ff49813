// Running up to nodes that people chose. The server runs outputs only; for what is none, a node is added for the run
// that shows what it gives.

import type { JsonObject } from "../json";
import type { NodeTypes } from "../types";

const PREFIX = "shown:";

/** The node on which is shown what a node of the server gave: itself, or the one that it was added for. */
export const shownOn = (id: string): string => (id.startsWith(PREFIX) ? id.slice(PREFIX.length) : id);

export interface Sinks {
  readonly prompt: JsonObject;
  readonly targets: readonly string[];
}

/** `prompt` with what it takes to run the nodes `chosen`, given by server id; an instance stands for all that is in it. */
export function withSinks(prompt: JsonObject, chosen: readonly string[], types: NodeTypes): Sinks {
  const typeOf = (id: string) => types.get(String((prompt[id] as JsonObject | undefined)?.["class_type"]));
  const added: [string, JsonObject][] = [];
  const targets = chosen.flatMap((id): string[] => {
    const group = Object.keys(prompt).filter((each) => each === id || each.startsWith(`${id}:`));
    const outputs = group.filter((each) => typeOf(each)?.isOutput === true);
    const last = group.at(-1);
    if (outputs.length > 0 || last === undefined) return outputs;
    const sink = sinkFor(last, typeOf(last)?.outputs.map((output) => output.type) ?? [], types);
    if (sink === undefined) return [last];
    added.push([PREFIX + last, sink]);
    return [PREFIX + last];
  });
  return { prompt: added.length === 0 ? prompt : { ...prompt, ...Object.fromEntries(added) }, targets };
}

/** A node that shows the pictures of another one, else whatever it gives as text. */
function sinkFor(id: string, outputs: readonly string[], types: NodeTypes): JsonObject | undefined {
  const picture = outputs.indexOf("IMAGE");
  if (picture >= 0 && types.has("PreviewImage")) return { class_type: "PreviewImage", inputs: { images: [id, picture] } };
  if (outputs.length === 0 || !types.has("PreviewAny")) return undefined;
  return { class_type: "PreviewAny", inputs: { source: [id, 0] } };
}
