// What is wrong with a file or a workflow, and what to do, in the language of the page.

import { ConvertError } from "../model/convert";
import { FormatError, type Notice } from "../model/formats";
import { t } from "../i18n";
import { messageOf } from "./notify";

export function explain(error: unknown): string {
  if (!(error instanceof FormatError) && !(error instanceof ConvertError)) return messageOf(error);
  return t(`formats.${error.code}`, { problem: error.message, defaultValue: `${error.message}. ${error.hint}` });
}

/** Links that lead nowhere are in many files and change nothing. */
const SILENT: ReadonlySet<Notice["code"]> = new Set(["link-not-used"]);

/** What was mended in a file, a sentence for each kind of it; undefined if there is nothing to tell. */
export function explainNotices(notices: readonly Notice[]): string | undefined {
  const kinds = new Map<Notice["code"], Notice[]>();
  for (const notice of notices) if (!SILENT.has(notice.code)) kinds.set(notice.code, [...(kinds.get(notice.code) ?? []), notice]);
  if (kinds.size === 0) return undefined;
  return [...kinds].map(([code, all]) => t(`formats.notice.${code}`, { count: all.length, problem: all[0]?.message ?? "" })).join(" ");
}
