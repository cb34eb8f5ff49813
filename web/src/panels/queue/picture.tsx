// A file as a small picture: what is no picture says what it is, a text its beginning.

import { t } from "../../i18n";
import type { Client } from "../../net";
import type { Media } from "../gallery/media";

const BEGINNING = 80;

export function Picture({ media, client }: { readonly media: Media; readonly client: Pick<Client, "viewUrl"> }): React.JSX.Element {
  if (media.kind === "text") return <span className="job-snippet">{media.text?.slice(0, BEGINNING)}</span>;
  if (media.kind !== "image") return <span className="job-media">{t(`jobs.media.${media.kind}`)}</span>;
  return <img src={client.viewUrl(media.file, { quality: 70 })} alt="" loading="lazy" decoding="async" draggable={false} />;
}
