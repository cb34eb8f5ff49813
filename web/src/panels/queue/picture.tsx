// A file as a small picture: what is no picture says what it is, a text its beginning.

import { t } from "../../i18n";
import type { Client } from "../../net";
import type { Media } from "../gallery/media";

const BEGINNING = 80;

/** What it shows in words, if it does. */
function wordsOf(media: Media): string | undefined {
  if (media.kind === "text") return media.text?.slice(0, BEGINNING);
  return media.kind === "image" ? undefined : t(`jobs.media.${media.kind}`);
}

/** What a button is called that shows a file of a job, the first of `count`: what is written on it is part of its name. */
export function lookAt(media: Media, name: string, count = 1): string {
  const words = wordsOf(media);
  const what = words === undefined ? t("jobs.look", { name }) : t("jobs.lookAt", { words, name });
  return count > 1 ? t("jobs.lookAt", { words: what, name: count }) : what;
}

export function Picture({ media, client }: { readonly media: Media; readonly client: Pick<Client, "viewUrl"> }): React.JSX.Element {
  if (media.kind === "text") return <span className="job-snippet">{wordsOf(media)}</span>;
  if (media.kind !== "image") return <span className="job-media">{wordsOf(media)}</span>;
  return <img src={client.viewUrl(media.file, { quality: 70 })} alt="" loading="lazy" decoding="async" draggable={false} />;
}
