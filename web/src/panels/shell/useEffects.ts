// What the shell does to the page itself: keys, look, language, files dropped anywhere, the title.

import { useEffect } from "react";
import { useStore } from "zustand";
import { cutSelected } from "../../commands/clipboardService";
import { dispatchKey, takesText } from "../../commands/dispatch";
import { setLanguage, type Language } from "../../i18n";
import { copiedText, foreignHtml } from "../../model/formats";
import type { Settings } from "../../state/settings";
import type { Tab } from "../../state/workspace";
import type { Editor } from "./editor";

export function useKeys(editor: Editor): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => void dispatchKey(event, editor.dispatch);
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [editor]);
}

const systemLanguage = (): Language => (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

/** Put the settings that are about the look onto the page; styles follow from there. */
export async function applyLook(values: Settings, prefersLight: boolean): Promise<void> {
  const { dataset, style } = document.documentElement;
  const system = prefersLight ? "light" : "dark";
  dataset["theme"] = values.theme === "system" ? system : values.theme;
  dataset["density"] = values.density;
  dataset["motion"] = values.motion;
  style.setProperty("--font-size", `${values.fontSize}px`);
  const language = values.language === "system" ? systemLanguage() : values.language;
  document.documentElement.lang = language;
  await setLanguage(language).catch(() => undefined);
}

export function useLook(editor: Editor): void {
  const values = useStore(editor.settings, (state) => state.values);
  useEffect(() => {
    const light = matchMedia("(prefers-color-scheme: light)");
    const apply = (): void => void applyLook(values, light.matches);
    apply();
    light.addEventListener("change", apply);
    return () => light.removeEventListener("change", apply);
  }, [values]);
}

/** A file that is dropped anywhere opens in a tab of its own, unless what it is dropped on takes it. */
export function useDrop(editor: Editor): void {
  useEffect(() => {
    const over = (event: DragEvent): void => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    };
    const dropped = (event: DragEvent): void => {
      const files = [...(event.dataTransfer?.files ?? [])];
      if (event.defaultPrevented || files.length === 0) return;
      event.preventDefault();
      void editor.services.files.openFiles(files);
    };
    window.addEventListener("dragover", over);
    window.addEventListener("drop", dropped);
    return () => {
      window.removeEventListener("dragover", over);
      window.removeEventListener("drop", dropped);
    };
  }, [editor]);
}

/** The browser's own copy, cut and paste, which need no permission; texts that are selected and fields keep them. */
export function useClipboard(editor: Editor): void {
  useEffect(() => {
    const { clipboard, files } = editor.services;
    const isForText = (): boolean => takesText(document.activeElement) || document.getSelection()?.isCollapsed === false;
    const copied = (event: ClipboardEvent): void => {
      const { tab } = editor.context();
      if (event.defaultPrevented || tab === undefined || isForText()) return;
      const text = clipboard.textOf(tab);
      if (text === undefined) return;
      event.clipboardData?.setData("text/plain", text);
      event.clipboardData?.setData("text/html", foreignHtml(text));
      event.preventDefault();
      if (event.type === "cut") cutSelected(tab);
    };
    const pasted = (event: ClipboardEvent): void => {
      if (event.defaultPrevented || isForText() || event.clipboardData === null) return;
      const given = [...event.clipboardData.files];
      event.preventDefault();
      if (given.length > 0) void files.openFiles(given);
      else {
        const text = event.clipboardData.getData("text/plain");
        void clipboard.pasteText(editor.context().tab, copiedText(text, event.clipboardData.getData("text/html")) ?? text, false);
      }
    };
    document.addEventListener("copy", copied);
    document.addEventListener("cut", copied);
    document.addEventListener("paste", pasted);
    return () => {
      document.removeEventListener("copy", copied);
      document.removeEventListener("cut", copied);
      document.removeEventListener("paste", pasted);
    };
  }, [editor]);
}

const SOON_MS = 300;

/** Load a part once the page stands: who types at once after its key types into it, and not into the page. */
export function useSoon(load: () => Promise<unknown>): void {
  useEffect(() => {
    const timer = setTimeout(() => void load().catch(() => undefined), SOON_MS);
    return () => clearTimeout(timer);
  }, [load]);
}

/** The title says which document, and how far its run is. */
export function useTitle(tab: Tab | undefined): void {
  useEffect(() => {
    if (tab === undefined) {
      document.title = "Easel";
      return undefined;
    }
    const show = (): void => {
      const job = tab.runs.getState().job;
      const progress = job?.state === "running" ? `${Math.round(job.progress * 100)} % · ` : "";
      const title = `${progress}${tab.unsaved ? "• " : ""}${tab.title} · Easel`;
      if (document.title !== title) document.title = title;
    };
    show();
    return tab.runs.subscribe(show);
  }, [tab]);
}
