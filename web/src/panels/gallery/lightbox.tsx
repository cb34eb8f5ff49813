// One picture as large as the page: keys, zoom, what made it, and a second one to compare it with.

import * as Dialog from "@radix-ui/react-dialog";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { t } from "../../i18n";
import type { Client, JobDetails } from "../../net";
import { CompareView, type CompareSide } from "../compare/compare-view";
import type { JobsState } from "../queue/jobs-store";
import { download } from "../queue/download";
import { Info, usePixels } from "./info";
import { LightboxBar } from "./lightbox-bar";
import type { Media } from "./media";
import { partnerOf, useBefore, useJobDetails } from "./partner";
import { Single } from "./single";
import { Strip } from "./strip";
import type { Zoom } from "./zoom";
import { FITTED, fittedScale, zoomAt } from "./zoom";
import "./gallery.css";

export interface LightboxProps {
  /** Everything that the keys go through. */
  readonly media: readonly Media[];
  /** The keys of the one that is shown first, and of one beside it. */
  readonly start: string;
  readonly beside?: string;
  readonly client: Pick<Client, "viewUrl">;
  readonly jobs: Pick<JobsState, "look" | "previousOf">;
  /** The end of `media` is near. */
  readonly onEnd?: () => void;
  readonly onClose: () => void;
  readonly onRemove: (job: string) => void;
  readonly onOpenWorkflow: (job: string) => void;
}

export type LightboxMode = "single" | "slider" | "side";
const NEAR_END = 10;
const STEP = 1.5;

export function Lightbox(props: LightboxProps): React.JSX.Element | null {
  const { media, start, beside, onEnd, onClose } = props;
  const [at, setAt] = useState({ key: start, place: Math.max(0, media.findIndex((one) => one.key === start)) });
  const [chosen, setChosen] = useState(beside);
  const found = media.findIndex((one) => one.key === at.key);
  const index = found >= 0 ? found : Math.min(at.place, media.length - 1); // what was shown may be deleted meanwhile
  const current = media[index];

  useEffect(() => {
    if (index >= media.length - NEAR_END) onEnd?.();
  }, [index, media.length, onEnd]);
  useEffect(() => {
    if (current === undefined) onClose();
  }, [current, onClose]);

  const go = (to: number): void => {
    const place = Math.max(0, Math.min(media.length - 1, to));
    const next = media[place];
    if (next === undefined || next.key === current?.key) return;
    setAt({ key: next.key, place });
    setChosen(undefined);
  };
  if (current === undefined) return null;
  const other = chosen === undefined ? undefined : media.find((one) => one.key === chosen);
  return <Open {...props} current={current} index={index} other={other} go={go} />;
}

interface OpenProps extends LightboxProps {
  readonly current: Media;
  readonly index: number;
  readonly other: Media | undefined;
  readonly go: (index: number) => void;
}

function Open(props: OpenProps): React.JSX.Element {
  const { media, client, jobs, onClose, current, index, other, go } = props;
  const [mode, setMode] = useState<LightboxMode>(other === undefined ? "single" : "slider");
  const [withInfo, setWithInfo] = useState(() => window.innerWidth >= 900);
  const [zoom, setZoom] = useState<Zoom>(FITTED);
  const content = useRef<HTMLDivElement>(null);
  const place = useRef<HTMLDivElement>(null);
  const details = useJobDetails(jobs, current.job.id);
  const before = useBefore(jobs, withInfo || mode !== "single" ? current.job : undefined, other?.job.id);
  const pixels = usePixels(current.kind === "image" ? client.viewUrl(current.file) : undefined);

  const does = {
    compare: (next: LightboxMode): void => {
      setMode(mode === next ? "single" : next);
      setZoom(FITTED);
    },
    zoomBy: (factor: number): void => setZoom((now) => zoomAt(now, factor, 0, 0)),
    fit: (): void => setZoom(FITTED),
    fullSize: (): void => {
      const view = place.current;
      if (view === null || pixels === undefined) return;
      setZoom({ ...FITTED, scale: 1 / fittedScale(pixels, { width: view.clientWidth, height: view.clientHeight }) });
    },
    toggleInfo: (): void => setWithInfo(!withInfo),
    openWorkflow: (): void => props.onOpenWorkflow(current.job.id),
    save: (): void => void download([current], client),
    remove: (): void => props.onRemove(current.job.id),
  };
  const acts: Readonly<Record<string, () => void>> = {
    ArrowLeft: () => go(index - 1),
    ArrowRight: () => go(index + 1),
    Home: () => go(0),
    End: () => go(media.length - 1),
    "+": () => does.zoomBy(STEP),
    "=": () => does.zoomBy(STEP),
    "-": () => does.zoomBy(1 / STEP),
    "0": does.fit,
    "1": does.fullSize,
    i: does.toggleInfo,
    c: () => does.compare("slider"),
    s: () => does.compare("side"),
    d: does.save,
    o: does.openWorkflow,
    Delete: does.remove,
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const act = acts[event.key];
    const isLine = event.target instanceof HTMLInputElement && /^(Arrow|Home|End)/.test(event.key);
    if (act === undefined || isLine || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };

  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Content
          ref={content}
          className="lightbox"
          aria-describedby={undefined}
          tabIndex={-1}
          onKeyDown={onKeyDown}
          onOpenAutoFocus={(event) => {
            event.preventDefault();
            content.current?.focus();
          }}
        >
          <div className="lightbox-head">
            <Dialog.Title className="lightbox-title" title={current.file.filename}>
              {current.file.filename}
              <small>{t("gallery.place", { place: index + 1, count: media.length })}</small>
            </Dialog.Title>
            <LightboxBar {...does} {...{ mode, withInfo, zoom, onClose }} isPicture={current.kind === "image"} />
          </div>
          <div className="lightbox-main" ref={place}>
            <Shown {...{ current, client, mode, before, zoom, setZoom }} second={partnerOf(current, other, before)} />
            <Go way="back" label={t("gallery.back")} disabled={index === 0} onGo={() => go(index - 1)} />
            <Go way="on" label={t("gallery.on")} disabled={index === media.length - 1} onGo={() => go(index + 1)} />
          </div>
          {withInfo && <Info media={current} details={details} before={before} chosen={other !== undefined} size={pixels} />}
          <Strip media={media} index={index} client={client} go={go} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

interface ShownProps extends Pick<LightboxProps, "client"> {
  readonly current: Media;
  readonly second: Media | undefined;
  readonly before: JobDetails | null | undefined;
  readonly mode: LightboxMode;
  readonly zoom: Zoom;
  readonly setZoom: (change: (zoom: Zoom) => Zoom) => void;
}

function Shown({ current, second, before, client, mode, zoom, setZoom }: ShownProps): React.JSX.Element {
  const url = client.viewUrl(current.file);
  const single = <Single media={current} url={url} zoom={zoom} setZoom={setZoom} />;
  if (mode === "single" || current.kind !== "image") return single;
  if (second === undefined) {
    return (
      <>
        {single}
        <p className="lightbox-say">{t(before === null ? "compare.first" : "gallery.loading")}</p>
      </>
    );
  }
  const sides = [second, current].map((one) => ({ url: client.viewUrl(one.file), name: one.file.filename }));
  const [a, b] = sides as [CompareSide, CompareSide];
  return <CompareView before={a} after={b} mode={mode} zoom={zoom} setZoom={setZoom} />;
}

interface GoProps {
  readonly way: "back" | "on";
  readonly label: string;
  readonly disabled: boolean;
  readonly onGo: () => void;
}

function Go({ way, label, disabled, onGo }: GoProps): React.JSX.Element {
  const Icon = way === "back" ? ChevronLeft : ChevronRight;
  return (
    <button type="button" className="lightbox-go" data-way={way} disabled={disabled} aria-label={label} onClick={onGo}>
      <Icon size={24} aria-hidden />
    </button>
  );
}
