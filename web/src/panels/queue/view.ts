// How somebody last looked at the list of jobs; it is kept on this machine.

import { MEDIA_FILTERS } from "../gallery/media";
import type { JobsView } from "./rows";
import { FIRST_VIEW } from "./rows";

const KEY = "easel.jobs.view";

/** Only how the list looks is kept, not which jobs it shows: after a reload everything is there. */
export function readView(): JobsView {
  try {
    const data = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Record<keyof JobsView, unknown>> | null;
    const layout = data?.layout === "grid" ? "grid" : "list";
    const media = MEDIA_FILTERS.find((name) => name === data?.media) ?? FIRST_VIEW.media;
    return { ...FIRST_VIEW, layout, media, grouped: data?.grouped !== false };
  } catch {
    return FIRST_VIEW;
  }
}

export function writeView({ layout, media, grouped }: JobsView): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ layout, media, grouped }));
  } catch {
    // then it looks as at first the next time
  }
}
