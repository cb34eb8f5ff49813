// Opening, saving, sharing and closing documents, with the questions that they need.

import type { Document } from "../model/document";
import { emptyLevel } from "../model/document";
import { ROOT } from "../model/ids";
import { writeJson } from "../model/json";
import { ConflictError } from "../net/errors";
import type { UserFiles } from "../net/userdata";
import type { ServerDrafts } from "../state/serverDrafts";
import { newId, type Session } from "../state/session";
import { writeShareLink } from "../state/share";
import type { Answer, UiStore } from "../state/ui";
import type { Workbench } from "../state/workbench";
import type { Tab } from "../state/workspace";
import { t } from "../i18n";
import { explain, explainNotices } from "./explain";
import { countMissing, findMissing } from "./missing";
import { messageOf, notify } from "./notify";
import type { FileService, Formats, OpenedFile } from "./services";

export interface FileParts {
  readonly bench: Workbench;
  readonly files: UserFiles;
  readonly formats: Formats;
  readonly drafts: ServerDrafts;
  readonly session: Session;
  readonly ui: UiStore;
  /** The text of a template. */
  readonly template: (name: string) => Promise<string>;
}

const ACCEPTED = [
  "json", "png", "apng", "webp", "jpg", "jpeg", "avif", "svg", "latent", "safetensors", "mp4", "mov", "webm", "mkv", "flac", "mp3",
  "ogg", "opus", "glb", "gltf", "txt",
].map((suffix) => `.${suffix}`).join(",");

export const titleOf = (path: string): string => path.replace(/^.*\//, "").replace(/\.[a-z0-9]+$/i, "") || path;

/** A name as a path below workflows/: with its suffix, without what a file name cannot have. */
export const pathOf = (name: string): string => {
  const parts = name.trim().replace(/\.json$/i, "").split("/");
  const clean = parts.map((part) => part.replace(/[<>:"\\|?*\u0000-\u001f\u007f]/g, "-").replace(/^[.\s]+/, "").trim());
  return `${clean.filter((part) => part !== "").join("/") || "workflow"}.json`;
};

export const emptyDocument = (): Document => ({
  id: newId(),
  levels: new Map([[ROOT, emptyLevel(ROOT)]]),
  rest: {},
});

export function createFileService(parts: FileParts): FileService {
  const { bench, files, formats, drafts, session, ui } = parts;
  const { workspace } = bench;

  const freeTitle = (wanted: string): string => {
    const taken = new Set(workspace.getState().tabs.map((tab) => tab.title));
    let title = wanted;
    for (let number = 2; taken.has(title); number++) title = `${wanted} ${number}`;
    return title;
  };

  const textOf = (tab: Tab): string => formats.text(tab.document.getState().document);

  /** Always in a tab of its own: what is open is never replaced. */
  const show = ({ document, notices }: OpenedFile, title: string, file?: Tab["file"]): Tab => {
    const at = file === undefined ? { unsaved: true } : { file };
    const tab = bench.open({ document, title: file === undefined ? freeTitle(title) : title, ...at });
    const mended = explainNotices(notices);
    if (mended !== undefined) notify(t("formats.mended", { name: title }), { details: mended });
    reportMissing(document, title);
    return tab;
  };

  const reportMissing = (document: Document, title: string): void => {
    const report = findMissing(document, workspace.getState().types, title);
    const count = countMissing(report);
    if (count === 0) return;
    const action = { label: t("shell.show"), run: () => ui.getState().setMissing(report) };
    notify(t("files.somethingMissing", { count, title }), { action });
  };

  /** What a file without its own workflow says, where it was dropped. */
  const refused = (name: string, error: unknown): void =>
    notify(t("files.cannotOpen", { name }), { tone: "error", details: explain(error) });

  const openFiles = async (given: readonly File[]): Promise<void> => {
    for (const file of given) {
      try {
        show(await formats.read(file), titleOf(file.name));
      } catch (error) {
        refused(file.name, error);
      }
    }
  };

  const written = (tab: Tab, path: string, revision: string, document: Document): boolean => {
    bench.saved(tab.id, { path, revision }, document);
    bench.rename(tab.id, titleOf(path));
    drafts.drop(tab.id);
    session.tell({ kind: "saved", path, revision });
    ui.getState().announce(t("files.saved", { name: titleOf(path) }));
    notify(t("files.saved", { name: titleOf(path) }), { tone: "good" });
    return true;
  };

  /** Save over what is known to be there; what is not known is asked about. */
  const write = async (tab: Tab, path: string, base: string | undefined): Promise<boolean> => {
    const { document } = tab.document.getState();
    try {
      return written(tab, path, await files.saveWorkflow(path, textOf(tab), base), document);
    } catch (error) {
      if (error instanceof ConflictError) return conflict(tab, path, base, error);
      notify(t("files.cannotSave", { name: titleOf(path) }), {
        tone: "error",
        details: `${messageOf(error)} ${t("files.draftHasIt")}`,
      });
      return false;
    }
  };

  const conflict = async (tab: Tab, path: string, base: string | undefined, error: ConflictError): Promise<boolean> => {
    const name = titleOf(path);
    const answer = await ui.getState().ask({
      title: base === undefined ? t("files.nameTaken", { name }) : t("files.changedElsewhere", { name }),
      text: t(base === undefined ? "files.nameTakenHelp" : "files.changedElsewhereHelp"),
      actions: [
        { id: "copy", label: t("files.saveCopy"), tone: "primary" },
        { id: "theirs", label: t("files.openTheirs") },
        { id: "overwrite", label: t("files.overwrite"), tone: "danger" },
      ],
    });
    if (answer?.action === "copy") return saveAs(tab, freeTitle(`${name} ${t("files.copy")}`));
    if (answer?.action === "overwrite") return write(tab, path, error.current?.revision);
    if (answer?.action === "theirs") await openStored(path);
    return false;
  };

  const ask = (title: string, value: string, action: string): Promise<Answer | undefined> =>
    ui.getState().ask({
      title,
      field: { label: t("shell.name"), value },
      actions: [{ id: "ok", label: action, tone: "primary" }],
    });

  const saveAs = async (tab: Tab, name = tab.title): Promise<boolean> => {
    const answer = await ask(t("command.file.saveAs"), name, t("shell.save"));
    if (answer === undefined || answer.text.trim() === "") return false;
    return write(tab, pathOf(answer.text), undefined);
  };

  const openStored = async (path: string): Promise<void> => {
    try {
      const { text, revision } = await files.read(`workflows/${path}`);
      show(formats.readText(text), titleOf(path), { path, revision });
      session.tell({ kind: "opened", path });
    } catch (error) {
      refused(titleOf(path), error);
    }
  };

  const rename = async (tab: Tab, title: string): Promise<void> => {
    const name = title.trim();
    if (name === "" || name === tab.title) return;
    if (tab.file === undefined) return bench.rename(tab.id, name);
    const { path, revision } = tab.file;
    const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
    const to = pathOf(name.includes("/") ? name : folder + name);
    try {
      await files.rename(`workflows/${path}`, `workflows/${to}`);
      workspace.getState().patch(tab.id, { file: { path: to, revision } });
      bench.journal.setHead(tab.id, { file: { path: to, revision } });
      bench.rename(tab.id, titleOf(to));
    } catch (error) {
      notify(t("files.cannotRename", { name }), { tone: "error", details: messageOf(error) });
    }
  };

  return {
    show: (id) => workspace.getState().activate(id),
    create: () => void bench.open({ document: emptyDocument(), title: freeTitle(t("files.untitled")) }),
    pick: () => {
      const input = document.createElement("input");
      input.type = "file";
      input.multiple = true;
      input.accept = ACCEPTED;
      input.onchange = () => void openFiles([...(input.files ?? [])]);
      input.click();
    },
    openFiles,
    openStored,
    openText: async (text, title) => {
      try {
        show(formats.readText(text), title);
      } catch (error) {
        refused(title, error);
      }
    },
    openTemplate: async (name) => {
      try {
        const { document, notices } = formats.readText(await parts.template(name));
        show({ document: { ...document, id: newId() }, notices }, t(`templates.${name}`, { defaultValue: name }));
      } catch (error) {
        refused(name, error);
      }
    },
    save: (tab) => (tab.file === undefined ? saveAs(tab) : write(tab, tab.file.path, tab.file.revision)),
    saveAs,
    rename,
    askName: async (tab) => {
      const answer = await ask(t("command.file.rename"), tab.title, t("shell.rename"));
      if (answer !== undefined) await rename(tab, answer.text);
    },
    duplicate: (tab) => {
      const { document } = tab.document.getState();
      show({ document: { ...document, id: newId() }, notices: [] }, `${tab.title} ${t("files.copy")}`);
    },
    exportWorkflow: (tab) => download(`${tab.title}.json`, textOf(tab)),
    exportPrompt: (tab) => {
      try {
        download(`${tab.title} (API).json`, formats.prompt(tab.document.getState().document));
      } catch (error) {
        notify(t("formats.cannotExport", { name: tab.title }), { tone: "error", details: explain(error) });
      }
    },
    share: async (tab) => {
      const text = writeJson(formats.write(tab.document.getState().document));
      const link = writeShareLink(text, location.href);
      try {
        await navigator.clipboard.writeText(link);
        notify(t("files.linkCopied", { count: link.length }), { tone: "good" });
      } catch {
        await ask(t("command.file.share"), link, t("shell.close")); // no clipboard on plain http: copied by hand
      }
    },
    close: async (tab) => {
      await bench.journal.flush();
      const safe = !tab.unsaved || bench.journal.holds(tab.id);
      if (!safe) {
        const answer = await ui.getState().ask({
          title: t("files.closeUnsaved", { name: tab.title }),
          text: t("files.closeUnsavedHelp"),
          actions: [
            { id: "save", label: t("shell.save"), tone: "primary" },
            { id: "close", label: t("files.closeAnyway"), tone: "danger" },
          ],
        });
        if (answer === undefined || (answer.action === "save" && !(await saveAs(tab)))) return;
      }
      bench.close(tab.id);
      if (tab.unsaved) {
        const action = { label: t("shell.undo"), run: () => void bench.reopen(tab.id) };
        notify(t("files.closedUnsaved", { name: tab.title }), { action });
      }
    },
    reopen: () => void bench.reopen(),
  };
}

export function download(name: string, text: string): void {
  const link = document.createElement("a");
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
