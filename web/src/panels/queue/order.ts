// Lists of jobs as values: moving one, and putting what is new before what is known.

import type { Job } from "../../net";
import { runOf } from "../../net";

/** `items` with the one at `from` at the place `to`. */
export function moved<T>(items: readonly T[], from: number, to: number): T[] {
  const result = [...items];
  const [item] = result.splice(from, 1);
  if (item === undefined) return result;
  result.splice(Math.max(0, Math.min(result.length, to)), 0, item);
  return result;
}

/** The part of a list that a move changes; the server swaps places within what it is given. */
export const span = <T>(items: readonly T[], from: number, to: number): T[] =>
  items.slice(Math.min(from, to), Math.max(from, to) + 1);

/**
 * The list with its newest part as the server has it now. What is older than that part is kept, what should be in it and
 * is not was deleted. Jobs that are the same stay the same objects, so that their rows are not drawn again.
 */
export function mergeNewest(known: readonly Job[], newest: readonly Job[], total: number): readonly Job[] {
  const before = new Map(known.map((job) => [job.id, job]));
  const head = newest.map((job) => {
    const old = before.get(job.id);
    return old !== undefined && sameJob(old, job) ? old : job;
  });
  const ids = new Set(newest.map((job) => job.id));
  const last = newest.at(-1);
  // Where nothing of the newest part is known there may be a gap below it, which is read when somebody scrolls there.
  const isApart = !newest.some((job) => before.has(job.id));
  if (last === undefined || newest.length >= total || isApart) return same(known, head) ? known : head;
  const tail = known.filter((job) => !ids.has(job.id) && job.created <= last.created);
  const merged = [...head, ...tail].slice(0, total);
  return same(known, merged) ? known : merged;
}

const sameJob = (one: Job, other: Job): boolean =>
  one.state === other.state && one.attempt === other.attempt && one.ended === other.ended;

const same = (one: readonly Job[], other: readonly Job[]): boolean =>
  one.length === other.length && one.every((job, place) => job === other[place]);

/** Jobs that follow each other and belong to one run. */
export function groupByRun(jobs: readonly Job[]): Job[][] {
  const groups: Job[][] = [];
  for (const job of jobs) {
    const last = groups.at(-1);
    if (last?.[0] !== undefined && runOf(last[0].id) === runOf(job.id)) last.push(job);
    else groups.push([job]);
  }
  return groups;
}
