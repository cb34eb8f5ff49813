// The files in what jobs showed, as the gallery shows them.

import type { Json } from "../../model/json";
import { isArray, isObject } from "../../model/json";
import { VIDEO } from "../../model/media";
import type { FileRef, Job } from "../../net";

export type MediaKind = "image" | "video" | "audio" | "text" | "other";

export interface Media {
  /** Unique in the gallery. */
  readonly key: string;
  readonly job: Job;
  readonly node: string;
  readonly file: Required<FileRef>;
  readonly kind: MediaKind;
  /** It was saved, and is no mere preview. */
  readonly saved: boolean;
  /** What a node said; then `file` is only what it would be called. */
  readonly text?: string;
}

export const MEDIA_FILTERS = ["all", "saved", "previews", "text"] as const;
export type MediaFilter = (typeof MEDIA_FILTERS)[number];

const KINDS: readonly (readonly [RegExp, MediaKind])[] = [
  [/\.(png|jpe?g|webp|gif|avif|bmp)$/i, "image"],
  [VIDEO, "video"],
  [/\.(flac|mp3|wav|opus|ogg)$/i, "audio"],
];
const known = new WeakMap<Job, readonly Media[]>();

/** The files of a job: saved ones first, texts last, so that the first is what stands for the job. */
export function mediaOf(job: Job): readonly Media[] {
  const before = known.get(job);
  if (before !== undefined) return before;
  const found = Object.entries(job.outputs).flatMap(([node, shown]) =>
    Object.entries(shown).flatMap(([kind, list]) =>
      isArray(list) ? list.flatMap((one, place) => (kind === "text" ? textIn(one, place, node, job) : mediaIn(one, node, job))) : [],
    ),
  );
  const media = [...found].sort((one, other) => rankOf(one) - rankOf(other));
  known.set(job, media);
  return media;
}

const rankOf = ({ saved, kind }: Media): number => (kind === "text" ? 2 : saved ? 0 : 1);

function mediaIn(data: Json, node: string, job: Job): Media[] {
  if (!isObject(data) || typeof data["filename"] !== "string") return [];
  const file = { filename: data["filename"], subfolder: text(data["subfolder"]), type: text(data["type"]) || "output" };
  const kind = KINDS.find(([pattern]) => pattern.test(file.filename))?.[1] ?? "other";
  const key = [job.id, node, file.type, file.subfolder, file.filename].join("/");
  return [{ key, job, node, file, kind, saved: file.type === "output" }];
}

function textIn(data: Json, place: number, node: string, job: Job): Media[] {
  if (typeof data !== "string" || data === "") return [];
  const file = { filename: `text-${node.replaceAll(":", "-")}-${place + 1}.txt`, subfolder: "", type: "temp" };
  return [{ key: [job.id, node, "text", place].join("/"), job, node, file, kind: "text", saved: false, text: data }];
}

const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");

export function passes(media: Media, filter: MediaFilter): boolean {
  if (filter === "all") return true;
  if (filter === "text" || media.kind === "text") return filter === media.kind;
  return (filter === "saved") === media.saved;
}

/** Everything in a list of jobs that a gallery shows, in their order. */
export const allMedia = (jobs: readonly Job[], filter: MediaFilter): Media[] =>
  jobs.flatMap((job) => mediaOf(job).filter((media) => media.kind !== "other" && passes(media, filter)));
