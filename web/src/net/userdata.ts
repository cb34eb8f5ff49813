// The user's files on the server. Workflows are saved by compare-and-swap: over what somebody else saved nothing is written.

import { ConflictError, isMissing, ServerError } from "./errors";
import type { Http } from "./http";
import { revisionOf } from "./revision";
import type { FileInfo } from "./schemas";
import * as shapes from "./schemas";

export interface UserFile {
  readonly text: string;
  /** Of the content: the same text has the same revision. */
  readonly revision: string;
}

export interface UserFiles {
  /** The workflows, with paths below `workflows/`. */
  workflows(): Promise<FileInfo[]>;
  /** The files of one folder, with paths below it; none if there is no such folder. */
  list(folder: string): Promise<FileInfo[]>;
  read(path: string): Promise<UserFile>;
  /** Write over whatever is there (drafts, settings of panels). */
  write(path: string, text: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Fails if the new name is taken. */
  rename(path: string, to: string): Promise<void>;
  /**
   * Save a workflow (path below `workflows/`). `base` is the revision it was read with, undefined for a new file.
   * Throws `ConflictError` if the file holds something else by now. Answers the new revision.
   */
  saveWorkflow(path: string, text: string, base: string | undefined): Promise<string>;
  /** Versions that were saved of a workflow, the newest first. */
  versions(path: string): Promise<FileInfo[]>;
  readVersion(path: string, version: string): Promise<UserFile>;
}

const FOLDER = "workflows";
const VERSIONS = `${FOLDER}/.versions`;
export const KEPT_VERSIONS = 20;
const TRIES = 5;

export function createUserFiles(http: Http, pause: (ms: number) => Promise<void> = sleep): UserFiles {
  const route = (path: string): string => `/api/userdata/${encodeURIComponent(path)}`;

  const list = async (dir: string, recurse: boolean): Promise<FileInfo[]> => {
    try {
      return await http.get("/api/userdata", shapes.fileInfos, { query: { dir, recurse, full_info: true } });
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  };

  const read = async (path: string): Promise<UserFile> => {
    const text = await http.text(route(path));
    return { text, revision: revisionOf(text) };
  };

  const readIfThere = async (path: string): Promise<UserFile | undefined> => {
    try {
      return await read(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  };

  const post = async (path: string, text: string, overwrite: boolean): Promise<void> => {
    await http.post(route(path), text, shapes.anyJson, { query: { overwrite } });
  };

  /** False if there is such a file already. */
  const postNew = async (path: string, text: string): Promise<boolean> => {
    try {
      await post(path, text, false);
      return true;
    } catch (error) {
      if (error instanceof ServerError && error.status === 409) return false;
      throw error;
    }
  };

  const versions = async (path: string): Promise<FileInfo[]> => {
    const found = (await list(`${VERSIONS}/${path}`, false)).filter((info) => VERSION.test(info.path));
    return found.sort((one, other) => numberOf(other.path) - numberOf(one.path));
  };

  /**
   * The server writes a file whole, but cannot compare first. So whoever saves first makes the next version, which only
   * one can make, and then writes the file itself.
   */
  const save = async (path: string, text: string, base: string | undefined): Promise<string> => {
    const target = `${FOLDER}/${path}`;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const current = await readIfThere(target);
      if (current?.revision !== base) throw new ConflictError(path, current);
      const known = await versions(path);
      const last = known[0] === undefined ? 0 : numberOf(known[0].path);
      if (last === 0 && current !== undefined) await postNew(versionPath(path, 1), current.text);
      const next = Math.max(last, current === undefined ? 0 : 1) + 1;
      if (await postNew(versionPath(path, next), text)) {
        if (base === undefined) {
          if (!(await postNew(target, text))) throw new ConflictError(path, await readIfThere(target));
        } else {
          await post(target, text, true);
        }
        await prune(path, known);
        return revisionOf(text);
      }
      await pause(100 * 2 ** attempt); // somebody saves at this moment: what they write shows in the next round
    }
    throw new ConflictError(path, await readIfThere(target));
  };

  const prune = async (path: string, known: readonly FileInfo[]): Promise<void> => {
    const old = known.slice(KEPT_VERSIONS - 1);
    // An old version that stays does no harm; the workflow is saved.
    await Promise.allSettled(old.map((info) => http.send("DELETE", route(`${VERSIONS}/${path}/${info.path}`))));
  };

  return {
    workflows: async () => (await list(FOLDER, true)).filter((info) => info.path.endsWith(".json")),
    list: (folder) => list(folder, false),
    read,
    write: (path, text) => post(path, text, true),
    remove: (path) => http.send("DELETE", route(path)),
    rename: async (path, to) => {
      await http.post(`${route(path)}/move/${encodeURIComponent(to)}`, "", shapes.anyJson, {
        query: { overwrite: false },
      });
    },
    saveWorkflow: save,
    versions,
    readVersion: (path, version) => read(`${VERSIONS}/${path}/${version}`),
  };
}

const VERSION = /^\d{6,}\.json$/;
const numberOf = (name: string): number => Number.parseInt(name, 10);
const versionPath = (path: string, number: number): string =>
  `${VERSIONS}/${path}/${String(number).padStart(6, "0")}.json`;
const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
