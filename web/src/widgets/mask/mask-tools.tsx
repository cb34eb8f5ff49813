// The bar over the picture: tools, size and hardness, fill, invert, clear, undo, save.

import { Brush, Contrast, Eraser, PaintBucket, Redo2, Trash2, Undo2, X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { t } from "../../i18n";
import { SIZES, type MaskSession } from "./session";

const TOOLS = [
  { tool: "brush", Icon: Brush, key: "B" },
  { tool: "eraser", Icon: Eraser, key: "E" },
  { tool: "fill", Icon: PaintBucket, key: "G" },
] as const;

interface MaskToolsProps {
  readonly session: MaskSession;
  readonly isSaving: boolean;
  readonly save: () => void;
  readonly close: () => void;
}

export function MaskTools({ session, isSaving, save, close }: MaskToolsProps): React.JSX.Element {
  useSyncExternalStore(session.subscribe, () => session.version);
  const { settings } = session;
  const actions = [
    { name: "invert", key: "I", Icon: Contrast, run: () => session.invert(), isOff: false },
    { name: "clear", key: "Del", Icon: Trash2, run: () => session.clear(), isOff: false },
    { name: "undo", key: "Ctrl+Z", Icon: Undo2, run: () => session.undo(), isOff: !session.canUndo },
    { name: "redo", key: "Ctrl+Shift+Z", Icon: Redo2, run: () => session.redo(), isOff: !session.canRedo },
  ] as const;
  return (
    <div className="m-bar" role="toolbar" aria-label={t("mask.tools")}>
      <div className="m-group" role="radiogroup" aria-label={t("mask.tool")}>
        {TOOLS.map(({ tool, Icon, key }) => (
          <button
            key={tool}
            type="button"
            role="radio"
            className="m-tool"
            aria-checked={settings.tool === tool}
            aria-label={t(`mask.${tool}`)}
            title={`${t(`mask.${tool}`)} (${key})`}
            onClick={() => session.set({ tool })}
          >
            <Icon size={16} aria-hidden />
          </button>
        ))}
      </div>
      <label className="m-slide">
        <span>{t("mask.size")}</span>
        <input
          type="range"
          min={0}
          max={100}
          step={0.5}
          // Small sizes need finer steps: the slider goes by the square root.
          value={Math.sqrt(settings.size / SIZES.max) * 100}
          aria-valuetext={t("mask.pixels", { count: Math.round(settings.size) })}
          onChange={(event) => session.set({ size: Math.round((Number(event.target.value) / 100) ** 2 * SIZES.max) })}
        />
        <output>{Math.round(settings.size)}</output>
      </label>
      <label className="m-slide">
        <span>{t("mask.hardness")}</span>
        <input
          type="range"
          min={0}
          max={100}
          value={Math.round(settings.hardness * 100)}
          onChange={(event) => session.set({ hardness: Number(event.target.value) / 100 })}
        />
        <output>{Math.round(settings.hardness * 100)} %</output>
      </label>
      <div className="m-group">
        {actions.map(({ name, key, Icon, run, isOff }) => (
          <button
            key={name}
            type="button"
            className="m-tool"
            aria-label={t(`mask.${name}`)}
            title={`${t(`mask.${name}`)} (${key})`}
            disabled={isOff}
            onClick={run}
          >
            <Icon size={16} aria-hidden />
          </button>
        ))}
      </div>
      <span className="m-space" />
      <button type="button" className="m-button is-main" onClick={save} disabled={isSaving || !session.isUnsaved}>
        {isSaving ? t("mask.saving") : t("mask.save")}
      </button>
      <button type="button" className="m-tool" aria-label={t("mask.close")} title={`${t("mask.close")} (Esc)`} onClick={close}>
        <X size={16} aria-hidden />
      </button>
    </div>
  );
}
