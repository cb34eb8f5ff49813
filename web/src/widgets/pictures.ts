// Names of files in the server's folders, as widgets hold them: `sub/name.png [output]`.

export type Folder = "input" | "output" | "temp";

export interface StoredFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: Folder;
}

export function readName(value: string): StoredFile {
  const found = /^(.*?)\s*\[(input|output|temp)\]$/.exec(value);
  const path = found?.[1] ?? value;
  const cut = path.lastIndexOf("/");
  const type = (found?.[2] ?? "input") as Folder;
  return { filename: path.slice(cut + 1), subfolder: cut < 0 ? "" : path.slice(0, cut), type };
}

/** The value of a widget for a file; files of the input folder, which is the usual one, go without its name. */
export function writeName({ filename, subfolder, type }: StoredFile): string {
  const path = subfolder === "" ? filename : `${subfolder}/${filename}`;
  return type === "input" ? path : `${path} [${type}]`;
}

/** Where a file is looked at. */
export function viewUrl(file: StoredFile, more: Readonly<Record<string, string>> = {}): string {
  const { filename, subfolder, type } = file;
  return `/view?${new URLSearchParams({ filename, type, subfolder, ...more }).toString()}`;
}

/** A small picture of the file, made by the server. */
export const thumbnailUrl = (value: string): string => viewUrl(readName(value), { preview: "webp;70" });

/** The names in a folder of the server, the newest first. */
export async function listFiles(folder: Folder): Promise<string[]> {
  const answer = await fetch(`/internal/files/${folder}`);
  if (!answer.ok) throw new Error(`${String(answer.status)} ${answer.statusText}`);
  const names = (await answer.json()) as unknown;
  return Array.isArray(names) ? names.filter((name): name is string => typeof name === "string") : [];
}

const PICTURE = /\.(?:png|jpe?g|webp|gif|bmp|avif|tiff?)$/i;
export const isPicture = (name: string): boolean => PICTURE.test(name);
