// What a picture is compared with: the one chosen by hand, else the same one of the run before.

import { useEffect, useState } from "react";
import type { Job, JobDetails } from "../../net";
import type { JobsState } from "../queue/jobs-store";
import type { Media } from "./media";
import { mediaOf } from "./media";

type Jobs = Pick<JobsState, "look" | "previousOf">;

/** The details of a job, once they are here. */
export function useJobDetails(jobs: Jobs, id: string | undefined): JobDetails | undefined {
  const [known, setKnown] = useState<JobDetails>();
  useEffect(() => {
    let isGone = false;
    if (id !== undefined) void jobs.look(id).then((details) => isGone || setKnown(details));
    return () => {
      isGone = true;
    };
  }, [jobs, id]);
  return known !== undefined && known.id === id ? known : undefined;
}

/** The run that `job` is compared with: `chosen`, else the one before; undefined while it is looked for, null if there is none. */
export function useBefore(jobs: Jobs, job: Job | undefined, chosen: string | undefined): JobDetails | null | undefined {
  const [found, setFound] = useState<{ readonly of: string; readonly before: JobDetails | null }>();
  const of = `${job?.id} ${chosen}`;
  useEffect(() => {
    if (job === undefined) return;
    let isGone = false;
    void find(jobs, job, chosen).then((before) => isGone || setFound({ of, before: before ?? null }));
    return () => {
      isGone = true;
    };
  }, [jobs, job, chosen, of]);
  return found?.of === of ? found.before : undefined;
}

async function find(jobs: Jobs, job: Job, chosen: string | undefined): Promise<JobDetails | undefined> {
  try {
    const id = chosen ?? (await jobs.previousOf(job))?.id;
    return id === undefined ? undefined : await jobs.look(id);
  } catch {
    return undefined; // the server is away; the list says so
  }
}

/** The picture of the other run that stands where `current` stands in its own: of the same node and number, if there is one. */
export function partnerOf(current: Media, chosen: Media | undefined, before: JobDetails | null | undefined): Media | undefined {
  if (chosen !== undefined) return chosen;
  if (before == null) return undefined;
  const pictures = mediaOf(before).filter((media) => media.kind === "image");
  const own = mediaOf(current.job).filter((media) => media.node === current.node);
  const same = pictures.filter((media) => media.node === current.node);
  return same[own.findIndex((media) => media.key === current.key)] ?? same[0] ?? pictures[0];
}
