// The model's formats as the file service needs them.

import { toPrompt, writePrompt } from "../model/convert";
import { excerpt, readFile, readText, writeWorkflow, type FileResult } from "../model/formats";
import { workflowJson } from "../model/formats/workflow";
import type { NodeTypes } from "../model/types";
import type { Formats, OpenedFile } from "./services";

export function createFormats(types: () => NodeTypes): Formats {
  return {
    readText: (text) => found(readText(text, types())),
    read: async (file) => {
      const read = async (start: number, end: number): Promise<Uint8Array> => new Uint8Array(await file.slice(start, end).arrayBuffer());
      return found(readFile(await excerpt({ size: file.size, name: file.name, read }), file.name, types()));
    },
    write: (document) => workflowJson(document, types()),
    text: (document) => writeWorkflow(document, types()),
    prompt: (document) => writePrompt(toPrompt(document, types())),
  };
}

function found(result: FileResult): OpenedFile {
  if (!result.ok) throw result.error;
  return result;
}
