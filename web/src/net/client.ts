// Everything that the page asks of the server, in one object. Community routes where there are such, else Easel's own.

import type { Json, JsonObject } from "../model/json";
import type { NodeTypes } from "../model/types";
import { readNodeTypes } from "../model/types";
import type { Faults } from "./errors";
import { readFaults } from "./faults";
import type { Fetch, Http } from "./http";
import { createHttp } from "./http";
import { randomUuid } from "./run-ids";
import type { EventPage, Features, Job, JobDetails, JobPage, JobState, Queue, SystemStats, Uploaded } from "./schemas";
import * as shapes from "./schemas";
import type { UserFiles } from "./userdata";
import { createUserFiles } from "./userdata";

export type PreviewMethod = "none" | "auto" | "latent2rgb" | "taesd" | "default";

export interface SubmitOptions {
  /** The job's id; one is made up if it is absent. Sending the same id and prompt again is harmless. */
  readonly id?: string;
  /** Before everything that waits. */
  readonly front?: boolean;
  /** Only these output nodes and what they need. */
  readonly targets?: readonly string[];
  readonly previewMethod?: PreviewMethod;
  /** The workflow as the file has it, for the pictures. */
  readonly workflow?: JsonObject;
  /** What people call the job. */
  readonly name?: string;
}

export interface Submitted {
  readonly id: string;
  readonly number: number;
  /** What is wrong with outputs that will not run, although others do. */
  readonly faults: Faults;
}

export interface FileRef {
  readonly filename: string;
  readonly subfolder?: string;
  readonly type?: string;
}

export interface ViewOptions {
  /** A smaller encoding for lists: WebP of this quality. */
  readonly quality?: number;
  readonly channel?: "rgb" | "a" | "rgba";
}

export interface UploadOptions {
  readonly type?: "input" | "temp" | "output";
  readonly subfolder?: string;
  readonly overwrite?: boolean;
  /** For masks: the picture that the alpha channel is put on. */
  readonly original?: FileRef;
  readonly name?: string;
}

export interface JobQuery {
  readonly states?: readonly JobState[];
  readonly workflow?: string;
  readonly limit?: number;
  readonly offset?: number;
}

export interface Client {
  readonly base: string;
  readonly clientId: string;
  readonly files: UserFiles;

  submit(prompt: JsonObject, options?: SubmitOptions): Promise<Submitted>;
  queue(): Promise<Queue>;
  pause(): Promise<Queue>;
  resume(): Promise<Queue>;
  /** Put waiting jobs into this order, in the places that they hold together. */
  reorder(ids: readonly string[]): Promise<Queue>;
  jobs(query?: JobQuery, signal?: AbortSignal): Promise<JobPage>;
  job(id: string, signal?: AbortSignal): Promise<JobDetails>;
  /** What happened in a job after an event's number; `wait` seconds for the next if there is none yet. */
  events(id: string, after?: number, wait?: number, signal?: AbortSignal): Promise<EventPage>;
  cancel(id: string): Promise<Job>;
  /** Take jobs that wait out of the queue, without a trace; those that run by now stay. */
  unqueue(ids: readonly string[]): Promise<void>;
  retry(id: string): Promise<Job>;
  /** Forget a job that has ended; its files stay. */
  forget(ids: readonly string[]): Promise<void>;
  /** Stop what runs: one job, or whatever it is. */
  interrupt(id?: string): Promise<void>;
  free(what: { readonly models?: boolean; readonly cache?: boolean }): Promise<void>;

  nodeTypes(): Promise<NodeTypes>;
  modelKinds(): Promise<string[]>;
  models(kind: string): Promise<string[]>;
  embeddings(): Promise<string[]>;
  systemStats(): Promise<SystemStats>;
  features(): Promise<Features>;
  settings(): Promise<JsonObject>;
  saveSettings(changes: JsonObject): Promise<void>;

  upload(file: Blob, options?: UploadOptions): Promise<Uploaded>;
  uploadMask(file: Blob, options: UploadOptions & { readonly original: FileRef }): Promise<Uploaded>;
  /** The names of the files in a folder, the newest first. */
  listFolder(folder: "input" | "output" | "temp"): Promise<string[]>;
  /** The address of a file, for `src` and `href`. */
  viewUrl(file: FileRef, options?: ViewOptions): string;
}

export interface ClientOptions {
  /** Where the server is: empty for this page's own, else an origin. */
  readonly base?: string;
  readonly clientId?: string;
  readonly fetch?: Fetch;
}

export function createClient(options: ClientOptions = {}): Client {
  const { base = "", clientId = sessionClientId(), fetch: fetcher = (input, init) => fetch(input, init) } = options;
  const http = createHttp(base, fetcher);
  return { base, clientId, files: createUserFiles(http), ...jobRoutes(http, clientId), ...otherRoutes(http) };
}

const part = encodeURIComponent;

function jobRoutes(http: Http, clientId: string) {
  const post = (path: string): Promise<Queue> => http.post(path, {}, shapes.queue);
  return {
    submit: async (prompt: JsonObject, options: SubmitOptions = {}): Promise<Submitted> => {
      const answer = await http.post("/api/prompt", submission(prompt, clientId, options), shapes.promptAnswer);
      return { id: answer.prompt_id, number: answer.number, faults: readFaults(answer.node_errors) };
    },
    queue: () => http.get("/api/v1/queue", shapes.queue),
    pause: () => post("/api/v1/queue/pause"),
    resume: () => post("/api/v1/queue/resume"),
    reorder: (ids: readonly string[]) => http.post("/api/v1/queue/order", { ids }, shapes.queue),
    jobs: ({ states, workflow, limit, offset }: JobQuery = {}, signal?: AbortSignal) => {
      const query = { state: states?.join(","), workflow, limit, offset };
      return http.get("/api/v1/jobs", shapes.jobPage, { query, signal });
    },
    job: (id: string, signal?: AbortSignal) => http.get(`/api/v1/jobs/${part(id)}`, shapes.jobDetails, { signal }),
    events: (id: string, after = 0, wait = 0, signal?: AbortSignal) =>
      http.get(`/api/v1/jobs/${part(id)}/events`, shapes.eventPage, { query: { after, wait }, signal }),
    cancel: (id: string) => http.post(`/api/v1/jobs/${part(id)}/cancel`, {}, shapes.job),
    unqueue: (ids: readonly string[]) => http.send("POST", "/api/queue", { delete: ids }),
    retry: (id: string) => http.post(`/api/v1/jobs/${part(id)}/retry`, {}, shapes.job),
    forget: (ids: readonly string[]) => http.send("POST", "/api/history", { delete: ids }),
    interrupt: (id?: string) => http.send("POST", "/api/interrupt", id === undefined ? {} : { prompt_id: id }),
    free: ({ models = false, cache = false }: { readonly models?: boolean; readonly cache?: boolean }) =>
      http.send("POST", "/api/free", { unload_models: models, free_memory: cache }),
  };
}

function otherRoutes(http: Http) {
  const send = (path: string, file: Blob, options: UploadOptions): Promise<Uploaded> =>
    http.post(path, form(file, options), shapes.uploaded);
  return {
    nodeTypes: async () => readNodeTypes(await http.get("/api/object_info", shapes.anyJson)),
    modelKinds: () => http.get("/api/models", shapes.names),
    models: (kind: string) => http.get(`/api/models/${part(kind)}`, shapes.names),
    embeddings: () => http.get("/api/embeddings", shapes.names),
    systemStats: () => http.get("/api/system_stats", shapes.systemStats),
    features: () => http.get("/api/features", shapes.features),
    settings: () => http.get("/api/settings", shapes.anyObject),
    saveSettings: (changes: JsonObject) => http.send("POST", "/api/settings", changes),
    upload: (file: Blob, options: UploadOptions = {}) => send("/api/upload/image", file, options),
    uploadMask: (file: Blob, options: UploadOptions & { readonly original: FileRef }) =>
      send("/api/upload/mask", file, options),
    listFolder: (folder: "input" | "output" | "temp") => http.get(`/api/internal/files/${folder}`, shapes.names),
    viewUrl: (file: FileRef, { quality, channel }: ViewOptions = {}) =>
      http.url("/api/view", {
        filename: file.filename,
        type: file.type ?? "output",
        subfolder: file.subfolder === "" ? undefined : file.subfolder,
        preview: quality === undefined ? undefined : `webp;${quality}`,
        channel,
      }),
  };
}

/** The body of `/prompt`. */
export function submission(prompt: JsonObject, clientId: string, options: SubmitOptions): JsonObject {
  const { id = randomUuid(), front, targets, previewMethod, workflow, name } = options;
  const extra: Record<string, Json> = {};
  if (workflow !== undefined) extra["extra_pnginfo"] = { workflow };
  if (previewMethod !== undefined) extra["preview_method"] = previewMethod;
  if (name !== undefined) extra["easel"] = { name };
  return {
    prompt,
    prompt_id: id,
    client_id: clientId,
    extra_data: extra,
    ...(front === true ? { front } : {}),
    ...(targets === undefined ? {} : { partial_execution_targets: targets }),
  };
}

function form(file: Blob, options: UploadOptions): FormData {
  const data = new FormData();
  const given = file instanceof File ? file.name : "image.png";
  data.append("image", file, options.name ?? given);
  data.append("type", options.type ?? "input");
  if (options.subfolder !== undefined) data.append("subfolder", options.subfolder);
  if (options.overwrite === true) data.append("overwrite", "true");
  if (options.original !== undefined) {
    const { filename, subfolder = "", type = "output" } = options.original;
    data.append("original_ref", JSON.stringify({ filename, subfolder, type }));
  }
  return data;
}

const CLIENT_ID = "easel.client";

/** An id that survives a reload of the page, so that what its jobs tell still comes here. */
function sessionClientId(): string {
  try {
    const known = sessionStorage.getItem(CLIENT_ID) ?? randomUuid();
    sessionStorage.setItem(CLIENT_ID, known);
    return known;
  } catch {
    return randomUuid();
  }
}
