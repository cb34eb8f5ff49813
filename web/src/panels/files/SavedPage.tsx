// The workflows that are saved on the server, by folder, with search.

import { Trash2 } from "lucide-react";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { titleOf } from "../../commands/fileService";
import { messageOf, notify } from "../../commands/notify";
import { rank } from "../../commands/rank";
import type { FileInfo } from "../../net";
import { recentFiles } from "../../state/recent";
import { storage } from "../../state/storage";
import { useWorkspace } from "../../state/context";
import { useUi } from "../../state/editor";
import { useEditor } from "../shell/editor";
import { useLoaded } from "./useLoaded";

export function SavedPage(): React.JSX.Element {
  const { t, i18n } = useTranslation();
  const { client, services } = useEditor();
  const tabs = useWorkspace((state) => state.tabs);
  const show = useUi((state) => state.show);
  const load = useCallback(() => client.files.workflows(), [client]);
  const { data, problem, again } = useLoaded(load);
  const [query, setQuery] = useState("");
  const dates = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium", timeStyle: "short" });
  const newest = [...(data ?? [])].sort((left, right) => right.modified - left.modified);
  const found = rank(query, newest, (file) => ({ name: titleOf(file.path), also: [file.path] }));
  const open = new Map(tabs.flatMap((tab) => (tab.file === undefined ? [] : [[tab.file.path, tab.id] as const])));

  const recent = query === "" ? recentFiles(storage("localStorage")).flatMap((path) => newest.find((file) => file.path === path) ?? []) : [];

  const openFile = (path: string): void => {
    const id = open.get(path);
    if (id === undefined) void services.files.openStored(path);
    else services.files.show(id);
    if (window.innerWidth < 640) show(undefined);
  };

  const list = { open, describe: (file: FileInfo) => folderOf(file.path) + dates.format(file.modified), onOpen: openFile, onRemoved: again };
  return (
    <>
      <div className="files-actions">
        <button type="button" className="button" onClick={() => services.files.create()}>
          {t("command.file.new")}
        </button>
        <button type="button" className="button" onClick={() => services.files.pick()}>
          {t("command.file.open")}
        </button>
      </div>
      <input
        className="text-field"
        type="search"
        value={query}
        placeholder={t("files.search")}
        aria-label={t("files.search")}
        onChange={(event) => setQuery(event.target.value)}
      />
      {problem !== undefined && <p className="hint" role="alert">{t("files.cannotList", { problem })}</p>}
      {data?.length === 0 && <p className="hint">{t("files.none")}</p>}
      {query === "" && recent.length > 0 && <FileList files={recent} title={t("files.recent")} {...list} />}
      <FileList files={found} {...(recent.length > 0 && query === "" ? { title: t("files.all") } : {})} {...list} />
    </>
  );
}

interface ListProps {
  readonly files: readonly FileInfo[];
  readonly title?: string;
  readonly open: ReadonlyMap<string, string>;
  readonly describe: (file: FileInfo) => string;
  readonly onOpen: (path: string) => void;
  readonly onRemoved: () => void;
}

function FileList({ files, title, open, describe, onOpen, onRemoved }: ListProps): React.JSX.Element {
  return (
    <section {...(title === undefined ? {} : { "aria-label": title })}>
      {title !== undefined && <h3>{title}</h3>}
      <ul className="file-list">
        {files.map((file) => (
          <li key={file.path} data-open={open.has(file.path)}>
            <button type="button" className="file" onClick={() => onOpen(file.path)}>
              <span className="file-name">{titleOf(file.path)}</span>
              <small>{describe(file)}</small>
            </button>
            <RemoveButton path={file.path} onRemoved={onRemoved} />
          </li>
        ))}
      </ul>
    </section>
  );
}

const folderOf = (path: string): string => (path.includes("/") ? `${path.slice(0, path.lastIndexOf("/"))} · ` : "");

function RemoveButton({ path, onRemoved }: { readonly path: string; readonly onRemoved: () => void }): React.JSX.Element {
  const { t } = useTranslation();
  const { client, ui } = useEditor();
  const name = titleOf(path);
  const remove = async (): Promise<void> => {
    const answer = await ui.getState().ask({
      title: t("files.removeAsk", { name }),
      text: t("files.removeHelp"),
      actions: [{ id: "remove", label: t("files.remove"), tone: "danger" }],
    });
    if (answer === undefined) return;
    try {
      await client.files.remove(`workflows/${path}`);
      onRemoved();
    } catch (error) {
      notify(t("files.cannotRemove", { name }), { tone: "error", details: messageOf(error) });
    }
  };
  return (
    <button type="button" className="icon-button quiet" aria-label={t("files.removeNamed", { name })} onClick={() => void remove()}>
      <Trash2 size={14} aria-hidden />
    </button>
  );
}
