// Above the list of jobs: which of them, the queue's own switch, what the list shows, and what is done with the chosen ones.

import { Columns2, Download, LayoutGrid, Layers, List, ListX, Pause, Play, Trash2, X } from "lucide-react";
import { t } from "../../i18n";
import type { MediaFilter } from "../gallery/media";
import { MEDIA_FILTERS } from "../gallery/media";
import { IconButton } from "./icon-button";
import type { JobsTab, JobsView } from "./rows";
import { TABS } from "./rows";

interface TabsProps {
  readonly tab: JobsTab;
  readonly counts: Readonly<Record<JobsTab, number>>;
  readonly setTab: (tab: JobsTab) => void;
}

export function JobsTabs({ tab, counts, setTab }: TabsProps): React.JSX.Element {
  return (
    <div className="jobs-tabs" role="group" aria-label={t("jobs.states")}>
      {TABS.map((name) => (
        <button key={name} type="button" className="jobs-tab" aria-pressed={tab === name} data-tab={name} onClick={() => setTab(name)}>
          {t(`jobs.tab.${name}`)}
          {name !== "all" && counts[name] > 0 && <small>{compact(counts[name])}</small>}
        </button>
      ))}
    </div>
  );
}

const compact = (count: number): string => (count < 1000 ? String(count) : `${Math.floor(count / 100) / 10}k`);

export interface JobsToolbarProps {
  readonly view: JobsView;
  readonly setView: (change: Partial<JobsView>) => void;
  readonly paused: boolean;
  readonly setPaused: (paused: boolean) => void;
  readonly waiting: number;
  readonly clear: () => void;
  readonly selected: number;
  readonly unselect: () => void;
  readonly remove: () => void;
  readonly download: () => void;
  readonly compare: (() => void) | undefined;
}

export function JobsToolbar(props: JobsToolbarProps): React.JSX.Element {
  const { view, setView, paused, setPaused, waiting, clear, selected } = props;
  const isList = view.layout === "list";
  return (
    <div className="jobs-toolbar" role="toolbar" aria-label={t("jobs.tools")}>
      {selected > 0 ? (
        <Chosen {...props} />
      ) : (
        <>
          <IconButton icon={paused ? Play : Pause} label={t(paused ? "jobs.resume" : "jobs.pause")} pressed={paused} onClick={() => setPaused(!paused)} />
          {waiting > 0 && <IconButton icon={ListX} label={t("jobs.clear", { count: waiting })} onClick={clear} />}
          <span className="jobs-gap" />
          <select
            className="jobs-choice"
            aria-label={t("jobs.files")}
            value={view.media}
            onChange={(event) => setView({ media: event.currentTarget.value as MediaFilter })}
          >
            {MEDIA_FILTERS.map((media) => (
              <option key={media} value={media}>
                {t(`jobs.files.${media}`)}
              </option>
            ))}
          </select>
          <IconButton icon={Layers} label={t("jobs.grouped")} pressed={view.grouped} disabled={!isList} onClick={() => setView({ grouped: !view.grouped })} />
          <IconButton
            icon={isList ? LayoutGrid : List}
            label={t(isList ? "jobs.asGrid" : "jobs.asList")}
            onClick={() => setView({ layout: isList ? "grid" : "list" })}
          />
        </>
      )}
    </div>
  );
}

function Chosen({ selected, unselect, remove, download, compare }: JobsToolbarProps): React.JSX.Element {
  return (
    <>
      <span aria-live="polite">{t("jobs.selected", { count: selected })}</span>
      <span className="jobs-gap" />
      <IconButton icon={Columns2} label={t("jobs.compare")} disabled={compare === undefined} onClick={() => compare?.()} />
      <IconButton icon={Download} label={t("jobs.download")} onClick={download} />
      <IconButton icon={Trash2} label={t("jobs.removeSelected")} onClick={remove} />
      <IconButton icon={X} label={t("jobs.unselect")} onClick={unselect} />
    </>
  );
}
