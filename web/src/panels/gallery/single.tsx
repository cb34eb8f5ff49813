// One file in the lightbox: a picture to zoom into, a film, a sound or a text.

import { t } from "../../i18n";
import type { Media } from "./media";
import { Stage, zoomStyle } from "./stage";
import type { Zoom } from "./zoom";

interface SingleProps {
  readonly media: Media;
  readonly url: string;
  readonly zoom: Zoom;
  readonly setZoom: (change: (zoom: Zoom) => Zoom) => void;
}

export function Single({ media, url, zoom, setZoom }: SingleProps): React.JSX.Element {
  const { filename } = media.file;
  switch (media.kind) {
    case "video":
      return <video className="lightbox-film" src={url} controls loop aria-label={filename} />;
    case "audio":
      return <audio className="lightbox-sound" src={url} controls aria-label={filename} />;
    case "text":
      return <pre className="lightbox-text">{media.text}</pre>;
    case "other":
      return (
        <p className="lightbox-say">
          <a href={url} download={filename}>
            {t("gallery.download")}
          </a>
        </p>
      );
    case "image":
      return (
        <Stage zoom={zoom} setZoom={setZoom}>
          <img key={url} className="stage-picture" src={url} alt={filename} draggable={false} style={zoomStyle(zoom)} />
        </Stage>
      );
  }
}
