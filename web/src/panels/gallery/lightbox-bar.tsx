// The buttons above a large picture; each has a key, which its name tells.

import { Columns2, Download, FolderOpen, Info as InfoIcon, Maximize, Minus, Plus, SplitSquareHorizontal, Trash2, X } from "lucide-react";
import { t } from "../../i18n";
import { IconButton } from "../queue/icon-button";
import type { LightboxMode } from "./lightbox";
import type { Zoom } from "./zoom";

interface LightboxBarProps {
  readonly mode: LightboxMode;
  readonly compare: (mode: LightboxMode) => void;
  /** Only pictures are zoomed and compared. */
  readonly isPicture: boolean;
  readonly withInfo: boolean;
  readonly toggleInfo: () => void;
  readonly zoom: Zoom;
  readonly zoomBy: (factor: number) => void;
  readonly fit: () => void;
  readonly fullSize: () => void;
  readonly openWorkflow: () => void;
  readonly save: () => void;
  readonly remove: () => void;
  readonly onClose: () => void;
}

const STEP = 1.5;

export function LightboxBar(props: LightboxBarProps): React.JSX.Element {
  const { mode, compare, isPicture, withInfo, zoom } = props;
  return (
    <div className="lightbox-bar" role="toolbar" aria-label={t("gallery.tools")}>
      {isPicture && (
        <span className="lightbox-zoom">
          <IconButton icon={Minus} label={t("gallery.smaller")} disabled={zoom.scale === 1} onClick={() => props.zoomBy(1 / STEP)} />
          <button type="button" className="lightbox-scale" title={t("gallery.fullSize")} aria-label={`1:1 ${t("gallery.fullSize")}`} onClick={props.fullSize}>
            1:1
          </button>
          <IconButton icon={Plus} label={t("gallery.larger")} onClick={() => props.zoomBy(STEP)} />
          <IconButton icon={Maximize} label={t("gallery.fit")} disabled={zoom.scale === 1} onClick={props.fit} />
        </span>
      )}
      {isPicture && (
        <>
          <IconButton icon={SplitSquareHorizontal} label={t("compare.slider")} pressed={mode === "slider"} onClick={() => compare("slider")} />
          <IconButton icon={Columns2} label={t("compare.side")} pressed={mode === "side"} onClick={() => compare("side")} />
        </>
      )}
      <IconButton icon={InfoIcon} label={t("gallery.info")} pressed={withInfo} onClick={props.toggleInfo} />
      <IconButton icon={FolderOpen} label={t("gallery.openWorkflow")} onClick={props.openWorkflow} />
      <IconButton icon={Download} label={t("gallery.download")} onClick={props.save} />
      <IconButton icon={Trash2} label={t("gallery.remove")} onClick={props.remove} />
      <IconButton icon={X} label={t("gallery.close")} onClick={props.onClose} />
    </div>
  );
}
