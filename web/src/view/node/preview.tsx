// The pictures and videos of a node: the latest preview while it runs, then what it made. Edge to edge.

import { useRunOf } from "../../state/context";
import type { Json } from "../../model/json";
import { isArray, isObject } from "../../model/json";
import { isVideo } from "../../model/media";
import type { NodeRun } from "../../state/runs";
import { t } from "../../i18n";

const MOST = 4;

interface Shown {
  readonly url: string;
  readonly isVideo: boolean;
}

export function Preview({ serverId }: { readonly serverId: string }): React.JSX.Element | null {
  const { shown, texts } = contentOf(useRunOf(serverId));
  if (shown.length === 0 && texts.length === 0) return null;
  return (
    <div className={`n-preview ${shown.length > 1 ? "is-many" : ""}`}>
      {shown.slice(0, MOST).map(({ url, isVideo }, place) => {
        const name = t("view.preview.alt", { number: place + 1 });
        return isVideo ? (
          <video key={url} src={url} aria-label={name} autoPlay loop muted playsInline />
        ) : (
          <img key={place} src={url} alt={name} draggable={false} decoding="async" />
        );
      })}
      {shown.length > MOST && <span className="n-more">{t("view.preview.more", { count: shown.length - MOST })}</span>}
      {texts.map((text, place) => (
        <pre key={place}>{text}</pre>
      ))}
    </div>
  );
}

/** While it runs its preview, then what it made; the preview stays where nothing was made. */
function contentOf(run: NodeRun | undefined): { readonly shown: readonly Shown[]; readonly texts: readonly string[] } {
  if (run === undefined) return NOTHING;
  const texts = run.output === undefined ? [] : textsIn(run.output["text"]);
  if (run.preview !== undefined && (run.state === "running" || run.output === undefined)) return { shown: [{ url: run.preview, isVideo: false }], texts };
  return { shown: filesIn(run.output?.["images"]), texts };
}

const NOTHING = { shown: [], texts: [] };
const textsIn = (texts: Json | undefined): string[] => (isArray(texts) ? texts.filter((text) => typeof text === "string") : []);

/** The pictures and videos in a node's output, as the server tells them: videos stand among the images. */
function filesIn(images: Json | undefined): Shown[] {
  if (!isArray(images)) return [];
  return images.flatMap((image) => {
    if (!isObject(image) || typeof image["filename"] !== "string") return [];
    const query = new URLSearchParams({ filename: image["filename"] });
    for (const key of ["subfolder", "type"]) if (typeof image[key] === "string") query.set(key, image[key]);
    return [{ url: `/api/view?${query.toString()}`, isVideo: isVideo(image["filename"]) }];
  });
}
