// Putting a file into the server's input folder.

import { createContext } from "react";
import type { StoredFile } from "./pictures";
import { writeName } from "./pictures";

export interface UploadOptions {
  readonly subfolder?: string;
  /** Replace a file of the same name. Else the new one gets another name, unless both have the same bytes. */
  readonly overwrite?: boolean;
  /** The file is a mask: its alpha is put on this picture. */
  readonly original?: StoredFile;
}

/** Stores the file and answers with the value of the widget that names it. Rejects with a sentence for people. */
export type Upload = (file: File, options?: UploadOptions) => Promise<string>;

export const uploadToServer: Upload = async (file, options = {}) => {
  const form = new FormData();
  form.set("image", file, file.name);
  form.set("type", "input");
  if (options.subfolder !== undefined) form.set("subfolder", options.subfolder);
  if (options.overwrite === true) form.set("overwrite", "true");
  if (options.original !== undefined) form.set("original_ref", JSON.stringify(options.original));
  const answer = await fetch(options.original === undefined ? "/upload/image" : "/upload/mask", { method: "POST", body: form });
  const text = await answer.text();
  if (!answer.ok) throw new Error(faultIn(text) ?? `${String(answer.status)} ${answer.statusText}`);
  const stored = JSON.parse(text) as { readonly name?: unknown; readonly subfolder?: unknown };
  if (typeof stored.name !== "string") throw new Error("the server did not say how it named the file");
  const subfolder = typeof stored.subfolder === "string" ? stored.subfolder : "";
  return writeName({ filename: stored.name, subfolder, type: "input" });
};

/** The sentence in an error's body: plain text, or the fields that our errors have. */
export function faultIn(body: string): string | undefined {
  try {
    const value = JSON.parse(body) as Readonly<Record<string, unknown>> | null;
    const error = value?.["error"];
    const place = (typeof error === "object" && error !== null ? error : value) as Readonly<Record<string, unknown>> | null;
    const texts = ["detail", "title", "message"].map((key) => place?.[key]);
    const found = typeof error === "string" ? error : texts.find((text) => typeof text === "string" && text !== "");
    return typeof found === "string" ? found : undefined;
  } catch {
    const line = body.trim().split("\n")[0] ?? "";
    return line === "" || line.startsWith("<") ? undefined : line.slice(0, 200);
  }
}

export const UploadContext = createContext<Upload>(uploadToServer);

/** The files that a drop or a paste brings. */
export const filesIn = (data: DataTransfer | null, accepts: (file: File) => boolean = () => true): File[] =>
  [...(data?.files ?? [])].filter(accepts);

/** A pasted picture has no name of its own: browsers call each of them image.png. */
export function named(file: File): File {
  if (file.name !== "" && file.name !== "image.png") return file;
  const time = new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19);
  return new File([file], `pasted-${time}.${file.type.split("/")[1] ?? "png"}`, { type: file.type });
}
