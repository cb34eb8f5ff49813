// The pictures of a node: the latest preview while it runs, then what it made. Edge to edge.

import { useRunOf } from "../../state/context";
import type { Json } from "../../model/json";
import { isArray, isObject } from "../../model/json";
import { t } from "../../i18n";

const MOST = 4;

export function Preview({ serverId }: { readonly serverId: string }): React.JSX.Element | null {
  const run = useRunOf(serverId);
  const texts = isArray(run?.output?.["text"]) ? run.output["text"].filter((text) => typeof text === "string") : [];
  const live = run?.state === "running" ? run.preview : undefined;
  const pictures = live === undefined ? picturesIn(run?.output?.["images"]) : [live];
  const shown = pictures.length === 0 && run?.preview !== undefined && run.output === undefined ? [run.preview] : pictures;
  if (shown.length === 0 && texts.length === 0) return null;
  return (
    <div className={`n-preview ${shown.length > 1 ? "is-many" : ""}`}>
      {shown.slice(0, MOST).map((url, place) => (
        <img key={place} src={url} alt={t("view.preview.alt", { number: place + 1 })} draggable={false} decoding="async" />
      ))}
      {shown.length > MOST && <span className="n-more">{t("view.preview.more", { count: shown.length - MOST })}</span>}
      {texts.map((text, place) => (
        <pre key={place}>{text}</pre>
      ))}
    </div>
  );
}

/** The addresses of the pictures in a node's output, as the server tells them. */
export function picturesIn(images: Json | undefined): string[] {
  if (!isArray(images)) return [];
  return images.flatMap((image) => {
    if (!isObject(image) || typeof image["filename"] !== "string") return [];
    const query = new URLSearchParams({ filename: image["filename"] });
    for (const key of ["subfolder", "type"]) if (typeof image[key] === "string") query.set(key, image[key]);
    return [`/api/view?${query.toString()}`];
  });
}
