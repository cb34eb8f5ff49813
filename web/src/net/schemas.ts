// The shapes of answers, checked where they come in. Unknown members are dropped; a shape that does not fit is an error.

import * as z from "zod/mini";
import type { Json, JsonObject } from "../model/json";
import { isObject } from "../model/json";

z.config({ jitless: true }); // its generated code needs what our content policy forbids

const jsonObject = z.custom<JsonObject>(isObject);
const json = z.custom<Json>((value) => value !== undefined);
const time = z.optional(z.nullable(z.number()));

export const JOB_STATES = ["pending", "running", "done", "failed", "cancelled", "quarantined"] as const;
const jobState = z.enum(JOB_STATES);
export type JobState = (typeof JOB_STATES)[number];

/** A job as Easel's list shows it. Times are milliseconds since 1970; `outputs` is by node and then by kind. */
export const job = z.object({
  id: z.string(),
  state: jobState,
  number: z.number(),
  attempt: z.number(),
  client_id: z.optional(z.nullable(z.string())),
  workflow_id: z.optional(z.nullable(z.string())),
  created: z.number(),
  started: time,
  ended: time,
  targets: z.optional(z.array(z.string())),
  outputs: z.record(z.string(), jsonObject),
  error: z.optional(z.nullable(jsonObject)),
});
export type Job = z.infer<typeof job>;

export const savedFile = z.object({
  node: z.string(),
  filename: z.string(),
  subfolder: z.string(),
  type: z.string(),
  size: z.number(),
  media_type: z.string(),
});
export type SavedFile = z.infer<typeof savedFile>;

export const jobDetails = z.extend(job, {
  prompt: jsonObject,
  extra_data: jsonObject,
  files: z.array(savedFile),
});
export type JobDetails = z.infer<typeof jobDetails>;

export const jobPage = z.object({ jobs: z.array(job), total: z.number(), limit: z.number(), offset: z.number() });
export type JobPage = z.infer<typeof jobPage>;

export const queue = z.object({ paused: z.boolean(), running: z.array(job), waiting: z.array(job) });
export type Queue = z.infer<typeof queue>;

export const jobEvent = z.object({ number: z.number(), event: z.string(), data: jsonObject });
export type JobEvent = z.infer<typeof jobEvent>;
export const eventPage = z.object({ events: z.array(jobEvent), complete: z.boolean(), ended: z.boolean() });
export type EventPage = z.infer<typeof eventPage>;

export const promptAnswer = z.object({
  prompt_id: z.string(),
  number: z.number(),
  node_errors: z.optional(json),
});

const device = z.object({
  name: z.string(),
  type: z.string(),
  vram_total: z.number(),
  vram_free: z.number(),
});
export const systemStats = z.object({
  system: z.object({
    ram_total: z.number(),
    ram_free: z.number(),
    easel_version: z.optional(z.string()),
    comfyui_version: z.optional(z.string()),
    python_version: z.optional(z.string()),
    pytorch_version: z.optional(z.nullable(z.string())),
  }),
  devices: z.array(device),
});
export type SystemStats = z.infer<typeof systemStats>;

export const features = z.object({ max_upload_size: z.optional(z.number()) });
export type Features = z.infer<typeof features>;

export const uploaded = z.object({ name: z.string(), subfolder: z.string(), type: z.string() });
export type Uploaded = z.infer<typeof uploaded>;

export const fileInfo = z.object({
  path: z.string(),
  size: z.number(),
  modified: z.number(),
  created: z.optional(z.number()),
});
export type FileInfo = z.infer<typeof fileInfo>;
export const fileInfos = z.array(fileInfo);

export const names = z.array(z.string());
export const anyObject = jsonObject;
export const anyJson = json;

export const socketMessage = z.object({ type: z.string(), data: jsonObject });

export const isEnded = (state: JobState): boolean => state !== "pending" && state !== "running";
