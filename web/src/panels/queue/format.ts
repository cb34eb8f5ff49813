// Times, sizes and names of jobs, in the language that is shown.

import i18next from "i18next";
import { t } from "../../i18n";
import { isObject } from "../../model/json";
import type { Job, JobDetails } from "../../net";

export function seconds(value: number): string {
  if (value < 10) return t("jobs.seconds", { count: Math.round(value * 10) / 10 });
  if (value < 90) return t("jobs.seconds", { count: Math.round(value) });
  const minutes = Math.round(value / 60);
  return minutes < 90 ? t("jobs.minutes", { count: minutes }) : t("jobs.hours", { count: Math.round(minutes / 6) / 10 });
}

export function clock(time: number, now = Date.now()): string {
  const sameDay = new Date(time).toDateString() === new Date(now).toDateString();
  const options: Intl.DateTimeFormatOptions = sameDay ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "short" };
  return new Intl.DateTimeFormat(i18next.language, options).format(time);
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

export function bytes(value: number): string {
  const step = value < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(value) / 10));
  const number = new Intl.NumberFormat(i18next.language, { maximumFractionDigits: step > 2 ? 1 : 0 });
  return `${number.format(value / 1024 ** step)} ${UNITS[step] ?? "B"}`;
}

export const percent = (part: number): string => `${Math.floor(part * 100)}%`;

/** How long a job took, if it ran. */
export const duration = (job: Job): string | undefined =>
  typeof job.started === "number" && typeof job.ended === "number" ? seconds((job.ended - job.started) / 1000) : undefined;

/** What people called the job, else the beginning of its id. */
export function nameOf(job: Job, details: JobDetails | undefined): string {
  const about = details?.extra_data["easel"];
  const name = isObject(about) ? about["name"] : undefined;
  return typeof name === "string" && name !== "" ? name : t("jobs.unnamed", { id: job.id.slice(0, 8) });
}

export function errorOf(job: Job): string | undefined {
  const message = job.error?.["message"];
  return typeof message === "string" ? message : undefined;
}
