// Every step of the open document by name; any point can be gone back to, and forward again.

import * as Dialog from "@radix-ui/react-dialog";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import type { Tab } from "../../state/workspace";

export function HistoryDialog({ tab, onClose }: { readonly tab: Tab; readonly onClose: () => void }): React.JSX.Element {
  const { t } = useTranslation();
  const history = useStore(tab.document, (state) => state.history);
  const steps = [...history.done, ...[...history.undone].reverse()];
  const goTo = (count: number): void => {
    const by = count - tab.document.getState().history.done.length;
    for (let step = 0; step < Math.abs(by); step++) {
      if (by < 0) tab.document.getState().undo();
      else tab.document.getState().redo();
    }
  };
  const row = (name: string, count: number): React.JSX.Element => (
    <li key={count}>
      <button
        type="button"
        className="file"
        aria-current={count === history.done.length ? "step" : undefined}
        data-undone={count > history.done.length}
        onClick={() => goTo(count)}
      >
        {name}
      </button>
    </li>
  );
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Content className="palette at-side history" aria-describedby={undefined}>
          <Dialog.Title className="history-title">{t("command.edit.history")}</Dialog.Title>
          <ol className="file-list history-list">
            {steps.map((step, place) => row(t(step.name), place + 1)).reverse()}
            {row(t("shell.opened"), 0)}
          </ol>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
