// What comes before and after the picture that is shown, as a strip of small ones.

import { memo } from "react";
import { t } from "../../i18n";
import type { Client } from "../../net";
import { Picture } from "../queue/picture";
import type { Media } from "./media";

interface StripProps {
  readonly media: readonly Media[];
  readonly index: number;
  readonly client: Pick<Client, "viewUrl">;
  readonly go: (index: number) => void;
}

const AROUND = 12;

const toMiddle = (element: HTMLElement | null): void => element?.scrollIntoView?.({ inline: "center", block: "nearest" });

export const Strip = memo(function Strip({ media, index, client, go }: StripProps): React.JSX.Element | null {
  if (media.length < 2) return null;
  const first = Math.max(0, index - AROUND);
  return (
    <div className="strip">
      <div className="strip-middle">
        {media.slice(first, index + AROUND + 1).map((one, place) => (
          <button
            key={one.key}
            type="button"
            className="strip-item"
            aria-label={t("gallery.show", { name: one.file.filename })}
            aria-current={first + place === index || undefined}
            ref={first + place === index ? toMiddle : undefined}
            onClick={() => go(first + place)}
          >
            <Picture media={one} client={client} />
          </button>
        ))}
      </div>
    </div>
  );
});
