// The rows of the list: only those in sight are there. Arrow keys go from row to row, Alt with them moves a waiting job.

import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState, type DragEvent, type KeyboardEvent } from "react";
import { useStore, type StoreApi } from "zustand";
import { t } from "../../i18n";
import type { Client } from "../../net";
import { mediaOf } from "../gallery/media";
import type { JobActions } from "./job-row";
import { JobCheck, JobRow } from "./job-row";
import type { JobsStore } from "./jobs-store";
import { lookAt, Picture } from "./picture";
import type { JobsView, Row } from "./rows";
import { between, HEIGHTS, jobsIn, rowsOf } from "./rows";
import type { LiveState } from "./run-controller";
import { RunRow } from "./run-row";

interface JobsListProps {
  readonly jobs: JobsStore;
  readonly live: StoreApi<LiveState>;
  readonly client: Pick<Client, "viewUrl">;
  readonly view: JobsView;
  readonly selected: ReadonlySet<string>;
  readonly actions: Omit<JobActions, "select">;
  /** Add these to the chosen jobs, or take them away. */
  readonly choose: (ids: readonly string[], selected: boolean) => void;
  readonly remove: (ids: readonly string[]) => void;
  readonly toggleRun: (run: string) => void;
}

const TILE = 120;
const NEAR_END = 20;

export function JobsList(props: JobsListProps) {
  const { jobs, view, selected, choose, remove } = props;
  const queue = useStore(jobs, (state) => state.queue);
  const ended = useStore(jobs, (state) => state.ended);
  const total = useStore(jobs, (state) => state.total);
  const loading = useStore(jobs, (state) => state.loading);
  const at = useRef<HTMLDivElement>(null);
  const [current, setCurrent] = useState(0);
  const [target, setTarget] = useState<string>();
  const [columns, setColumns] = useState(3);
  const rows = useMemo(() => rowsOf(queue, ended, total, view, columns), [queue, ended, total, view, columns]);
  // eslint-disable-next-line react-hooks/incompatible-library -- its answers are read here only, not handed to memoised parts
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => at.current,
    estimateSize: (index) => HEIGHTS[rows[index]?.kind ?? "job"],
    getItemKey: (index) => rows[index]?.key ?? index,
    overscan: 6,
    initialRect: { width: 320, height: 640 },
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;

  const isEnded = view.tab !== "waiting" && view.tab !== "running";
  useEffect(() => {
    if (isEnded && last >= rows.length - NEAR_END) void jobs.getState().loadMore();
  }, [jobs, isEnded, last, rows.length, ended.length]);

  const anchor = useRef<string>(undefined);
  const shown = useRef(rows);
  useEffect(() => {
    shown.current = rows;
  }, [rows]);
  // The same function for good, so that rows stay as they are while others change.
  const [select] = useState(() => (id: string, on: boolean, range = false): void => {
    const ids = range && anchor.current !== undefined ? between(shown.current, anchor.current, id) : [id];
    anchor.current = id;
    choose(ids, on);
  });
  const actions = useMemo(() => ({ ...props.actions, select }), [props.actions, select]);

  useEffect(() => {
    const element = at.current;
    if (element === null || typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(([entry]) => {
      setColumns(Math.max(1, Math.floor((entry?.contentRect.width ?? 0) / TILE) || 3));
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => virtual.measure(), [virtual, rows]);

  const focusRow = (index: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setCurrent(next);
    virtual.scrollToIndex(next);
    requestAnimationFrame(() => at.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus());
  };

  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>): void => {
    const row = rows[current];
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const acted = step !== 0 ? stepBy(step, event.altKey, row) : actOnAll(event) || (isRow(event.target) && actOnRow(row, event.key, { ...props, actions }));
    if (acted) event.preventDefault();
  };
  const stepBy = (step: number, moves: boolean, row: Row | undefined): boolean => {
    if (moves && row?.kind === "job" && row.section === "waiting") actions.move(row.job.id, step < 0 ? -1 : 1);
    focusRow(current + step);
    return true;
  };
  /** What keys do to all rows, or to the chosen ones. */
  const actOnAll = ({ key, ctrlKey, metaKey }: KeyboardEvent): boolean => {
    if (key === "a" && (ctrlKey || metaKey)) choose(jobsIn(rows).filter((job) => job.state !== "running").map((job) => job.id), true);
    else if (key === "Escape" && selected.size > 0) choose([...selected], false);
    else if (key === "Delete" && selected.size > 0) remove([...selected]);
    else return false;
    return true;
  };

  const drop = (event: DragEvent, row: Row): void => {
    event.preventDefault();
    setTarget(undefined);
    const id = event.dataTransfer.getData(DRAGGED);
    if (row.kind === "job" && row.section === "waiting" && id !== "") void jobs.getState().move(id, row.place);
  };

  if (rows.length === 0) return <Nothing tab={view.tab} filtered={view.media !== "all" && total > 0} loading={loading} />;
  return (
    <div className="jobs-list" ref={at} role="list" data-keys="own" aria-label={t("jobs.list")} onKeyDown={onKeyDown}>
      <div className="jobs-space" role="presentation" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index] as Row;
          const canDrag = row.kind === "job" && row.section === "waiting";
          return (
            <div
              key={item.key}
              className="jobs-row"
              data-index={item.index}
              data-kind={row.kind}
              data-target={target === row.key || undefined}
              role="listitem"
              aria-posinset={item.index + 1}
              aria-setsize={rows.length}
              tabIndex={item.index === current ? 0 : -1}
              style={{ height: item.size, transform: `translateY(${item.start}px)` }}
              draggable={canDrag}
              onFocus={() => setCurrent(item.index)}
              onDragStart={(event) => canDrag && event.dataTransfer.setData(DRAGGED, row.job.id)}
              onDragOver={(event) => {
                if (!canDrag || !event.dataTransfer.types.includes(DRAGGED)) return;
                event.preventDefault();
                setTarget(row.key);
              }}
              onDragLeave={() => setTarget(undefined)}
              onDrop={(event) => drop(event, row)}
            >
              <RowContent {...props} row={row} actions={actions} columns={columns} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

const DRAGGED = "application/x-easel-job";

interface RowProps extends JobsListProps {
  readonly actions: JobActions;
}

const isRow = (target: EventTarget): boolean => target instanceof HTMLElement && target.dataset["index"] !== undefined;

/** What keys do to the row that has the focus; true if they do anything. */
function actOnRow(row: Row | undefined, key: string, props: RowProps): boolean {
  if (row?.kind === "run") return actOnRun(row, key, props);
  if (row?.kind !== "job") return false;
  const { actions, selected } = props;
  const { job, section } = row;
  const [first] = mediaOf(job);
  if (key === "Delete") (section === "ended" ? actions.remove : actions.cancel)(job.id);
  else if (key === " " && section !== "running") actions.select(job.id, !selected.has(job.id));
  else if (key === "Enter" && first !== undefined) actions.open(first);
  else return false;
  return true;
}

function actOnRun(row: Extract<Row, { readonly kind: "run" }>, key: string, { remove, toggleRun }: RowProps): boolean {
  if (key === "Enter" || key === " ") toggleRun(row.run);
  else if (key === "Delete") remove(row.jobs.map((job) => job.id));
  else return false;
  return true;
}

function RowContent({ row, columns, jobs, live, client, selected, actions, remove, toggleRun }: RowProps & { readonly row: Row; readonly columns: number }) {
  const liveJob = useStore(live, (state) => (row.kind === "job" ? state.jobs[row.job.id] : undefined));
  switch (row.kind) {
    case "title":
      return (
        <h3 className="jobs-title">
          {t(`jobs.section.${row.section}`)} <span>{row.count}</span>
        </h3>
      );
    case "job":
      return (
        <JobRow {...{ jobs, client, actions }} job={row.job} inner={row.inner} place={row.section === "waiting" ? row.place : 0} live={liveJob} selected={selected.has(row.job.id)} />
      );
    case "run":
      return (
        <RunRow
          {...{ jobs, client }}
          list={row.jobs}
          open={row.open}
          toggle={() => toggleRun(row.run)}
          look={actions.open}
          remove={() => remove(row.jobs.map((job) => job.id))}
        />
      );
    case "tiles":
      return (
        <div className="jobs-tiles" style={{ gridTemplateColumns: `repeat(${columns}, 1fr)` }}>
          {row.media.map((media) => (
            <div key={media.key} className="jobs-tile" data-selected={selected.has(media.job.id) || undefined}>
              <button type="button" aria-label={lookAt(media, media.file.filename)} onClick={() => actions.open(media)}>
                <Picture media={media} client={client} />
              </button>
              <JobCheck id={media.job.id} name={media.file.filename} selected={selected.has(media.job.id)} select={actions.select} />
            </div>
          ))}
        </div>
      );
  }
}

interface NothingProps {
  readonly tab: JobsView["tab"];
  readonly filtered: boolean;
  readonly loading: boolean;
}

function Nothing({ tab, filtered, loading }: NothingProps) {
  if (loading) return <p className="jobs-empty">{t("jobs.loading")}</p>;
  return (
    <div className="jobs-empty">
      <p>{t(filtered ? "jobs.emptyFilter" : `jobs.empty.${tab}`)}</p>
      {!filtered && tab === "all" && <p>{t("jobs.emptyHint")}</p>}
    </div>
  );
}
