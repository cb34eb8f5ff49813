// The corner of the canvas: how large all is shown, fit, lock, minimap.

import { useStore } from "@xyflow/react";
import { Lock, LockOpen, Map as MapIcon, Maximize } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useSetting, useSettingsStore } from "../../state/editor";
import { useController } from "../controller-context";
import { useView } from "../context";

export function ViewTools(): React.JSX.Element {
  const { t } = useTranslation();
  const controller = useController();
  const settings = useSettingsStore();
  const minimap = useSetting("minimap");
  const locked = useView((view) => view.locked);
  const percent = useStore((state) => Math.round(state.transform[2] * 100));
  const LockIcon = locked ? Lock : LockOpen;
  return (
    <div className="c-tools c-over" role="toolbar" aria-label={t("view.tools")}>
      <button type="button" className="c-zoom" title={t("view.tools.full")} aria-label={t("view.tools.zoom", { percent })} onClick={() => controller.zoom("full")}>
        {percent}%
      </button>
      <button type="button" title={t("view.tools.fit")} aria-label={t("view.tools.fit")} onClick={() => controller.fit("all")}>
        <Maximize size={14} aria-hidden />
      </button>
      <button
        type="button"
        title={t("view.tools.lock")}
        aria-label={t("view.tools.lock")}
        aria-pressed={locked}
        onClick={() => controller.view.getState().set({ locked: !locked })}
      >
        <LockIcon size={14} aria-hidden />
      </button>
      <button
        type="button"
        title={t("view.tools.minimap")}
        aria-label={t("view.tools.minimap")}
        aria-pressed={minimap}
        onClick={() => settings.getState().set("minimap", !minimap)}
      >
        <MapIcon size={14} aria-hidden />
      </button>
    </div>
  );
}
