// The jobs of one press of Run as one row, which opens.

import { ChevronDown, ChevronRight, Trash2 } from "lucide-react";
import { memo } from "react";
import { t } from "../../i18n";
import type { Client, Job } from "../../net";
import type { Media } from "../gallery/media";
import { mediaOf } from "../gallery/media";
import { clock, nameOf } from "./format";
import { IconButton } from "./icon-button";
import { useDetails } from "./job-row";
import type { JobsStore } from "./jobs-store";
import { lookAt, Picture } from "./picture";

interface RunRowProps {
  readonly list: readonly Job[];
  readonly open: boolean;
  readonly jobs: JobsStore;
  readonly client: Pick<Client, "viewUrl">;
  readonly toggle: () => void;
  readonly look: (media: Media) => void;
  readonly remove: () => void;
}

const MOST_THUMBS = 4;

export const RunRow = memo(function RunRow({ list, open, jobs, client, toggle, look, remove }: RunRowProps) {
  const first = list[0] as Job;
  const name = nameOf(first, useDetails(jobs, first.id));
  const failed = list.filter((job) => job.state !== "done").length;
  const media = list.flatMap((job) => mediaOf(job).slice(0, 1)).slice(0, MOST_THUMBS);
  return (
    <div className="job-row" data-run>
      <IconButton
        icon={open ? ChevronDown : ChevronRight}
        label={t(open ? "jobs.closeRun" : "jobs.openRun", { name })}
        pressed={open}
        onClick={toggle}
      />
      <span className="job-strip">
        {media.map((one) => (
          <button key={one.key} type="button" className="job-thumb" aria-label={lookAt(one, name)} onClick={() => look(one)}>
            <Picture media={one} client={client} />
          </button>
        ))}
      </span>
      <div className="job-text">
        <span className="job-name" title={name}>
          {name}
        </span>
        <span className="job-state">
          <span>{t("jobs.inRun", { count: list.length })}</span>
          {failed > 0 && <span className="job-error">{t("jobs.failedInRun", { count: failed })}</span>}
          <span>{clock(first.ended ?? first.created)}</span>
        </span>
      </div>
      <div className="job-actions">
        <IconButton icon={Trash2} label={t("jobs.removeRun", { name })} onClick={remove} />
      </div>
    </div>
  );
});
