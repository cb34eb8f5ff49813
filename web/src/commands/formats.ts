// The model's formats as the file service needs them.

import { toPrompt } from "../model/convert";
import type { Document } from "../model/document";
import { readWorkflow, workflowJson } from "../model/formats/workflow";
import { parseJson } from "../model/json";
import type { NodeTypes } from "../model/types";
import type { Formats } from "./services";

export function createFormats(types: () => NodeTypes): Formats {
  const readText = (text: string): Document => readWorkflow(parseJson(text), types()).document;
  return {
    readText,
    read: (data) => Promise.resolve().then(() => readText(new TextDecoder().decode(data))),
    write: (document) => workflowJson(document, types()),
    prompt: (document) => toPrompt(document, types()).prompt,
  };
}
