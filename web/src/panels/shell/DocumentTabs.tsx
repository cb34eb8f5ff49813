// The open documents: a mark for what is not saved, close, rename by double click, reorder by dragging.

import { Plus, X } from "lucide-react";
import { memo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import { useWorkspace } from "../../state/context";
import type { Tab } from "../../state/workspace";
import { useEditor } from "./editor";

export function DocumentTabs(): React.JSX.Element {
  const { t } = useTranslation();
  const { services } = useEditor();
  const tabs = useWorkspace((state) => state.tabs);
  const active = useWorkspace((state) => state.active);
  const [dragged, setDragged] = useState<string>();
  return (
    <nav className="tabs" aria-label={t("shell.documents")}>
      <ul>
        {tabs.map((tab, place) => (
          <DocumentTab
            key={tab.id}
            tab={tab}
            place={place}
            active={tab.id === active}
            dragged={dragged}
            onDrag={setDragged}
          />
        ))}
      </ul>
      <button type="button" className="icon-button" aria-label={t("command.file.new")} title={t("command.file.new")} onClick={() => services.files.create()}>
        <Plus size={16} aria-hidden />
      </button>
    </nav>
  );
}

interface DocumentTabProps {
  readonly tab: Tab;
  readonly place: number;
  readonly active: boolean;
  readonly dragged: string | undefined;
  readonly onDrag: (id: string | undefined) => void;
}

const DocumentTab = memo(function DocumentTab({ tab, place, active, dragged, onDrag }: DocumentTabProps) {
  const { t } = useTranslation();
  const { workspace, services, bench } = useEditor();
  const running = useStore(tab.runs, (state) => state.job !== undefined);
  const [renaming, setRenaming] = useState(false);
  const [over, setOver] = useState(false);
  const state = [tab.unsaved ? t("shell.unsaved") : "", running ? t("shell.running") : ""].filter(Boolean).join(", ");
  return (
    <li
      className="tab"
      data-active={active}
      data-over={over && dragged !== undefined && dragged !== tab.id}
      draggable={!renaming}
      onDragStart={(event) => {
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("application/x-easel-tab", tab.id);
        onDrag(tab.id);
      }}
      onDragEnd={() => onDrag(undefined)}
      onDragOver={(event) => {
        if (dragged === undefined) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        setOver(false);
        if (dragged === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        bench.move(dragged, place);
      }}
      onAuxClick={(event) => {
        if (event.button === 1) void services.files.close(tab);
      }}
    >
      {renaming ? (
        <RenameField tab={tab} onDone={() => setRenaming(false)} />
      ) : (
        <button
          type="button"
          className="tab-name"
          aria-current={active ? "page" : undefined}
          aria-label={state === "" ? tab.title : `${tab.title} (${state})`}
          title={tab.file?.path ?? tab.title}
          onClick={() => workspace.getState().activate(tab.id)}
          onDoubleClick={() => setRenaming(true)}
        >
          <span className="tab-mark" data-unsaved={tab.unsaved} data-running={running} aria-hidden />
          <span className="tab-title">{tab.title}</span>
        </button>
      )}
      <button
        type="button"
        className="tab-close"
        aria-label={t("shell.closeTab", { name: tab.title })}
        onClick={() => void services.files.close(tab)}
      >
        <X size={12} aria-hidden />
      </button>
    </li>
  );
});

function RenameField({ tab, onDone }: { readonly tab: Tab; readonly onDone: () => void }): React.JSX.Element {
  const { t } = useTranslation();
  const { services } = useEditor();
  return (
    <input
      className="tab-rename"
      aria-label={t("command.file.rename")}
      defaultValue={tab.title}
      ref={(field) => {
        if (field !== null && field.ownerDocument.activeElement !== field) field.select();
      }}
      onBlur={(event) => {
        onDone();
        void services.files.rename(tab, event.target.value);
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter") event.currentTarget.blur();
        if (event.key === "Escape") {
          event.currentTarget.value = tab.title;
          event.currentTarget.blur();
        }
      }}
    />
  );
}
