// Texts in 3D models (glTF, binary and plain) and in SVG pictures.

import { isObject, writeJson, type Json, type JsonObject } from "../../json";
import { objectOf, parseText } from "../shape";
import { Bytes, damaged, latin1, utf8, type Texts } from "./bytes";

export const isGlb = (data: Uint8Array): boolean => latin1(data.subarray(0, 4)) === "glTF";

/** The first chunk of a binary model is its JSON. */
export function readGlb(data: Uint8Array): Texts {
  const bytes = new Bytes(data, "3D model");
  const length = bytes.u32(12, true);
  if (bytes.tag(16) !== "JSON") throw damaged(bytes.kind);
  return readGltf(parseText(utf8(bytes.slice(20, length)), "model"));
}

export const isGltf = (data: Json): boolean => isObject(data) && typeof objectOf(data["asset"])["version"] === "string";

/** What programs add to a model stands in the extras of its asset or of the whole. */
export const readGltf = (data: Json): Texts => {
  const model = objectOf(data);
  return textsOf({ ...objectOf(model["extras"]), ...objectOf(objectOf(model["asset"])["extras"]) });
};

const textsOf = (data: JsonObject): Texts =>
  new Map(Object.entries(data).map(([key, value]) => [key.toLowerCase(), typeof value === "string" ? value : writeJson(value)]));

export const isSvg = (text: string): boolean => /^\s*<(\?xml|svg|!doctype svg)/i.test(text.slice(0, 200)) && text.includes("<svg");

/** The first CDATA below `<metadata>`: an object with a workflow, a prompt or both. The picture itself is not parsed. */
export function readSvg(text: string): Texts {
  const start = text.indexOf("<![CDATA[", Math.max(0, text.indexOf("<metadata")));
  const end = text.indexOf("]]>", start);
  if (start < 0 || end < 0 || !text.includes("<metadata")) return new Map();
  return textsOf(objectOf(parseText(text.slice(start + 9, end), "metadata")));
}
