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

/** What a button is called that shows a file of a job: words that are seen are part of its name. */
export function lookAt(media: Media, name: string): string {
  const words = wordsOf(media);
  return words === undefined ? t("jobs.look", { name }) : t("jobs.lookAt", { words, name });
}

export function Picture({ media, client }: { readonly media: Media; readonly client: Pick<Client, "viewUrl"> }): React.JSX.Element {
  if (media.kind === "text") return <span className="job-snippet">{wordsOf(media)}</span>;
  if (media.kind !== "image") return <span className="job-media">{wordsOf(media)}</span>;
  return <img src={client.viewUrl(media.file, { quality: 70 })} alt="" loading="lazy" decoding="async" draggable={false} />;
}
