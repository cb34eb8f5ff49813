// The panel beside the rail, over the canvas: its width is remembered; a sheet from below where the page is narrow.

import { X } from "lucide-react";
import { useLayoutEffect, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { PanelName } from "../../state/ui";

const KEY = "easel.panel.";
const [LEAST, MOST, USUAL] = [240, 900, 340] as const;

const clamp = (width: number): number => Math.round(Math.min(MOST, Math.max(LEAST, width)));

function storedWidth(name: PanelName, usual: number): number {
  try {
    return clamp(Number(localStorage.getItem(KEY + name) ?? usual) || usual);
  } catch {
    return usual;
  }
}

interface Props {
  readonly name: PanelName;
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly usual?: number;
}

export function SidePanel({ name, title, onClose, children, usual = USUAL }: Props): React.JSX.Element {
  const { t } = useTranslation();
  const [width, setWidth] = useState(() => storedWidth(name, usual));
  useLayoutEffect(() => {
    // What stands at the bottom of the page makes room for the panel.
    const { style } = document.documentElement;
    style.setProperty("--panel-width", `${width}px`);
    return () => void style.removeProperty("--panel-width");
  }, [width]);
  const keep = (next: number): void => {
    setWidth(clamp(next));
    try {
      localStorage.setItem(KEY + name, String(clamp(next)));
    } catch {
      // then it is as wide as usual the next time
    }
  };
  return (
    <aside
      className="side-panel"
      data-panel={name}
      aria-label={title}
      style={{ width }}
      onKeyDown={(event) => {
        if (event.key === "Escape" && !event.defaultPrevented) onClose();
      }}
    >
      <header className="panel-head">
        <h2>{title}</h2>
        <button type="button" className="icon-button" aria-label={t("shell.close")} onClick={onClose}>
          <X size={16} aria-hidden />
        </button>
      </header>
      <div className="panel-body">{children}</div>
      <div
        className="panel-edge"
        role="separator"
        aria-orientation="vertical"
        aria-label={t("shell.panelWidth")}
        aria-valuenow={width}
        aria-valuemin={LEAST}
        aria-valuemax={MOST}
        tabIndex={0}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={(event) => {
          if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
          const panel = event.currentTarget.parentElement;
          if (panel !== null) keep(event.clientX - panel.getBoundingClientRect().left);
        }}
        onKeyDown={(event) => {
          const step = { ArrowLeft: -16, ArrowRight: 16 }[event.key];
          if (step !== undefined) keep(width + step);
        }}
      />
    </aside>
  );
}
