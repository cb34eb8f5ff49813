// Binary frames of the socket: pictures on the way to the result.

import { isObject } from "../model/json";
import { readJson } from "./http";

export interface Preview {
  /** Unknown where the server was not asked for it (event 1): it belongs to the node at work. */
  readonly job?: string;
  readonly node?: string;
  readonly picture: Blob;
}

const [PLAIN, WITH_METADATA] = [1, 4];
const TYPES: Readonly<Record<number, string>> = { 1: "image/jpeg", 2: "image/png" };

/** The preview in a frame; undefined for frames of other kinds and for broken ones. */
export function readPreview(frame: ArrayBuffer): Preview | undefined {
  if (frame.byteLength < 8) return undefined;
  const view = new DataView(frame);
  const [event, second] = [view.getUint32(0), view.getUint32(4)];
  if (event === PLAIN) return { picture: new Blob([frame.slice(8)], { type: TYPES[second] ?? "image/jpeg" }) };
  if (event !== WITH_METADATA || second > frame.byteLength - 8) return undefined;
  try {
    const about = readJson(new TextDecoder().decode(new Uint8Array(frame, 8, second)));
    if (!isObject(about)) return undefined;
    const node = about["display_node_id"] ?? about["node_id"];
    const type = about["image_type"] === "image/png" ? "image/png" : "image/jpeg";
    const picture = new Blob([frame.slice(8 + second)], { type });
    return { picture, ...named("job", about["prompt_id"]), ...named("node", node) };
  } catch {
    return undefined;
  }
}

const named = (name: "job" | "node", value: unknown): Partial<Preview> =>
  typeof value === "string" ? { [name]: value } : {};
