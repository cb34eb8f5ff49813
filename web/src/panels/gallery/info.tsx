// What made a picture: prompt, seed and the rest, what changed since the run before, every value, and the file itself.

import { Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { t } from "../../i18n";
import type { JobDetails } from "../../net";
import { Changes } from "../compare/changes";
import { bytes, clock, duration } from "../queue/format";
import { IconButton } from "../queue/icon-button";
import type { Media } from "./media";
import type { Fact } from "./metadata";
import { factsOf, literalsOf } from "./metadata";

interface InfoProps {
  readonly media: Media;
  readonly details: JobDetails | undefined;
  /** The run that this one is compared with: undefined while it is looked for, null if there is none. */
  readonly before: JobDetails | null | undefined;
  /** The other picture was chosen by hand, and is not just the run before. */
  readonly chosen: boolean;
  /** In pixels. */
  readonly size: { readonly width: number; readonly height: number } | undefined;
}

export function Info({ media, details, before, chosen, size }: InfoProps): React.JSX.Element {
  return (
    <aside className="info" aria-label={t("gallery.info")} tabIndex={0}>
      {details === undefined ? (
        <p className="info-hint">{t("gallery.loading")}</p>
      ) : (
        <>
          <Facts facts={factsOf(details.prompt)} />
          <section>
            <h3>{t(chosen ? "compare.changedBetween" : "compare.changed")}</h3>
            {before === undefined && <p className="info-hint">{t("gallery.loading")}</p>}
            {before === null && <p className="info-hint">{t("compare.first")}</p>}
            {before != null && <Changes before={before.prompt} after={details.prompt} />}
          </section>
          <details>
            <summary>{t("gallery.allValues")}</summary>
            {literalsOf(details.prompt).map(({ node, title, facts }) => (
              <section key={node}>
                <h4>
                  {title} <small>#{node}</small>
                </h4>
                <dl>
                  {facts.map(({ name, value }) => (
                    <Pair key={name} name={name} value={value} />
                  ))}
                </dl>
              </section>
            ))}
          </details>
        </>
      )}
      <FileFacts media={media} details={details} size={size} />
    </aside>
  );
}

function Facts({ facts }: { readonly facts: readonly Fact[] }): React.JSX.Element | null {
  if (facts.length === 0) return null;
  const long = facts.filter(({ name }) => name === "prompt" || name === "negative");
  return (
    <section>
      {long.map(({ name, value }) => (
        <div key={name} className="info-text">
          <h3>
            {t(`gallery.fact.${name}`)}
            <CopyButton value={value} name={t(`gallery.fact.${name}`)} />
          </h3>
          <p>{value}</p>
        </div>
      ))}
      <dl>
        {facts
          .filter((fact) => !long.includes(fact))
          .map(({ name, value }) => (
            <Pair key={name} name={t(`gallery.fact.${name}`)} value={value} copied={name === "seed"} />
          ))}
      </dl>
    </section>
  );
}

function Pair({ name, value, copied = false }: { readonly name: string; readonly value: string; readonly copied?: boolean }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>
        {value}
        {copied && <CopyButton value={value} name={name} />}
      </dd>
    </>
  );
}

function CopyButton({ value, name }: { readonly value: string; readonly name: string }): React.JSX.Element {
  return (
    <IconButton icon={Copy} label={t("gallery.copy", { name })} onClick={() => void navigator.clipboard?.writeText(value).catch(() => undefined)} />
  );
}

function FileFacts({ media, details, size }: Pick<InfoProps, "media" | "details" | "size">): React.JSX.Element {
  const { file, job } = media;
  const saved = details?.files.find((one) => one.filename === file.filename && one.subfolder === file.subfolder && one.type === file.type);
  const took = duration(job);
  return (
    <section>
      <h3>{t("gallery.file")}</h3>
      <dl>
        <Pair name={t("gallery.fileName")} value={[file.subfolder, file.filename].filter(Boolean).join("/")} />
        {size !== undefined && <Pair name={t("gallery.pixels")} value={`${size.width} × ${size.height}`} />}
        {saved !== undefined && <Pair name={t("gallery.fileSize")} value={bytes(saved.size)} />}
        <Pair name={t("gallery.kind")} value={t(media.saved ? "gallery.saved" : "gallery.preview")} />
        <Pair name={t("gallery.made")} value={clock(job.ended ?? job.created)} />
        {took !== undefined && <Pair name={t("gallery.took")} value={took} />}
      </dl>
    </section>
  );
}

/** The width and height of a picture, once it is loaded. */
export function usePixels(url: string | undefined): { readonly width: number; readonly height: number } | undefined {
  const [known, setKnown] = useState<{ readonly url: string; readonly width: number; readonly height: number }>();
  useEffect(() => {
    if (url === undefined) return;
    const picture = new Image();
    picture.onload = () => setKnown({ url, width: picture.naturalWidth, height: picture.naturalHeight });
    picture.src = url;
    return () => {
      picture.onload = null;
    };
  }, [url]);
  return known?.url === url ? known : undefined;
}
