// Saving files of the server on this computer: one as it is, several as one archive.

import { strToU8, zipSync } from "fflate";
import type { Client } from "../../net";
import type { Media } from "../gallery/media";

type Places = Pick<Client, "viewUrl">;

export async function download(media: readonly Media[], client: Places): Promise<void> {
  const [first] = media;
  if (first === undefined) return;
  if (media.length === 1) {
    if (first.text === undefined) save(client.viewUrl(first.file), first.file.filename);
    else saveBlob(new Blob([first.text], { type: "text/plain" }), first.file.filename);
    return;
  }
  const files: Record<string, Uint8Array> = {};
  for (const one of media) {
    if (one.text !== undefined) {
      files[freeName(files, one.file.filename)] = strToU8(one.text);
      continue;
    }
    const answer = await fetch(client.viewUrl(one.file));
    // One file that is gone is no reason to give none.
    if (answer.ok) files[freeName(files, one.file.filename)] = new Uint8Array(await answer.arrayBuffer());
  }
  const archive = zipSync(files, { level: 0 }); // pictures are compressed already
  saveBlob(new Blob([archive as Uint8Array<ArrayBuffer>], { type: "application/zip" }), "easel.zip");
}

export function freeName(taken: Readonly<Record<string, unknown>>, name: string): string {
  const dot = name.lastIndexOf(".");
  const [stem, suffix] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  let free = name;
  for (let number = 2; free in taken; number++) free = `${stem} (${number})${suffix}`;
  return free;
}

function saveBlob(data: Blob, name: string): void {
  const url = URL.createObjectURL(data);
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function save(url: string, name: string): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}
