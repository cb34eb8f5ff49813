// Run, how often, at the front, cancel; and how far the run is, as a thin line under the bar.

import * as Menu from "@radix-ui/react-dropdown-menu";
import { ChevronDown, Minus, Play, Plus, Square } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import { useUi } from "../../state/editor";
import type { Tab } from "../../state/workspace";
import { MAX_BATCH } from "../../state/ui";
import { useEditor } from "./editor";
import { MenuCommand } from "./MenuCommand";

export function RunControls({ tab }: { readonly tab: Tab }): React.JSX.Element {
  const { t } = useTranslation();
  const { act } = useEditor();
  const job = useStore(tab.runs, (state) => state.job);
  return (
    <div className="run" role="group" aria-label={t("shell.run")}>
      {job !== undefined && (
        <button type="button" className="button run-cancel" onClick={() => act("run.cancel")}>
          <Square size={12} aria-hidden fill="currentColor" />
          <span className="wide-only">{t("shell.cancel")}</span>
        </button>
      )}
      <div className="split">
        <button type="button" className="button primary run-button" onClick={() => act("run.queue")} title={t("command.run.queue")}>
          <Play size={13} aria-hidden fill="currentColor" />
          {t("shell.run")}
          <BatchMark />
        </button>
        <Menu.Root modal={false}>
          <Menu.Trigger className="button primary run-more" aria-label={t("shell.runOptions")}>
            <ChevronDown size={14} aria-hidden />
          </Menu.Trigger>
          <Menu.Portal>
            <Menu.Content className="menu" align="end" sideOffset={6}>
              <MenuCommand id="run.queue" />
              <MenuCommand id="run.front" />
              <MenuCommand id="run.cancel" />
              <Menu.Separator className="menu-line" />
              <BatchCount />
              <Menu.Separator className="menu-line" />
              <MenuCommand id="run.clear" />
            </Menu.Content>
          </Menu.Portal>
        </Menu.Root>
      </div>
    </div>
  );
}

function BatchMark(): React.JSX.Element | null {
  const batch = useUi((state) => state.batch);
  return batch === 1 ? null : <span className="run-count">×{batch}</span>;
}

function BatchCount(): React.JSX.Element {
  const { t } = useTranslation();
  const batch = useUi((state) => state.batch);
  const setBatch = useUi((state) => state.setBatch);
  return (
    <div className="batch" role="group" aria-label={t("shell.batch")}>
      <span>{t("shell.batch")}</span>
      <button type="button" className="icon-button" aria-label={t("command.run.fewer")} onClick={() => setBatch(batch - 1)}>
        <Minus size={14} aria-hidden />
      </button>
      <input
        type="number"
        min={1}
        max={MAX_BATCH}
        value={batch}
        aria-label={t("shell.batch")}
        onChange={(event) => setBatch(event.target.valueAsNumber)}
        onKeyDown={(event) => event.stopPropagation()}
      />
      <button type="button" className="icon-button" aria-label={t("command.run.more")} onClick={() => setBatch(batch + 1)}>
        <Plus size={14} aria-hidden />
      </button>
    </div>
  );
}

/** Drawn under the top bar while a job of the shown document runs. */
export function RunLine({ tab }: { readonly tab: Tab }): React.JSX.Element | null {
  const { t } = useTranslation();
  const job = useStore(tab.runs, (state) => state.job);
  if (job === undefined) return null;
  const percent = Math.round(job.progress * 100);
  return (
    <div className="run-line" role="progressbar" aria-label={t("shell.progress")} aria-valuenow={percent} data-state={job.state}>
      <div style={{ transform: `scaleX(${job.progress})` }} />
    </div>
  );
}
