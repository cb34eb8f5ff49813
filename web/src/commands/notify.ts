// What people are told in passing. Errors stay until they are closed.

import { toast } from "sonner";
import { t } from "../i18n";
import { ServerError, UnreachableError } from "../net/errors";

export interface NotifyAction {
  readonly label: string;
  readonly run: () => void;
}

export function notify(text: string, more: { readonly tone?: "good" | "error" | "info"; readonly action?: NotifyAction; readonly details?: string } = {}): void {
  const { tone = "info", action, details } = more;
  const show = { good: toast.success, error: toast.error, info: toast }[tone];
  show(text, {
    ...(details === undefined ? {} : { description: details }),
    ...(action === undefined ? {} : { action: { label: action.label, onClick: action.run } }),
    duration: tone === "error" ? Infinity : action === undefined ? 3500 : 12_000,
    closeButton: tone === "error" || action !== undefined,
  });
}

/** What an error says, in whole sentences, and what the server says to do about it. */
export function messageOf(error: unknown): string {
  if (error instanceof UnreachableError) return t("shell.offline");
  const said = error instanceof Error ? error.message : String(error);
  const hint = error instanceof ServerError ? (error.more.hint ?? "") : "";
  return [said, hint].filter((part) => part !== "").map(sentence).join(" ");
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?。！？]$/.test(text) ? "" : ".");
