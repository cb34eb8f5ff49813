// Tabs with all that keeps them: opened with their journal, restored from drafts, closed in a way that can be undone.

import type { Change } from "../model/changes";
import type { Document } from "../model/document";
import { withTypes } from "../model/formats";
import type { NodeTypes } from "../model/types";
import { settled } from "../model/edit/settle";
import { createDocumentStore, type ChangeListener, type Settle } from "./documents";
import { replay, type DraftHead, type DraftStore, type StoredDraft } from "./drafts";
import { createJournal, type Journal } from "./journal";
import { createRunsStore } from "./runs";
import { newId } from "./session";
import type { Tab, WorkspaceStore } from "./workspace";

export interface Opening {
  readonly document: Document;
  readonly title: string;
  readonly file?: Tab["file"];
  /** It holds what no file has yet. */
  readonly unsaved?: boolean;
}

/** A tab that was closed and can be had back. */
export interface ClosedTab {
  readonly head: DraftHead;
  readonly document: Document;
}

export const MAX_CLOSED = 20;

export interface Workbench {
  readonly workspace: WorkspaceStore;
  readonly journal: Journal;
  open(opening: Opening): Tab;
  /** Open again what this browser tab, or one that is gone, had open. Answers how many. */
  restore(drafts: readonly StoredDraft[], living: ReadonlySet<string>): number;
  /** Give the values of open documents the names that the node types of now tell, and those of `before` did not. */
  retype(before: NodeTypes): void;
  rename(id: string, title: string): void;
  /** The document as it was at the time is in the file now; `stale` if it was changed meanwhile. */
  saved(id: string, file: NonNullable<Tab["file"]>, document: Document): void;
  move(id: string, to: number): void;
  close(id: string): void;
  closed(): readonly ClosedTab[];
  reopen(id?: string): Tab | undefined;
  /** Hear of every document that changed. */
  onChange(heard: (tab: Tab) => void): () => void;
}

export interface WorkbenchParts {
  readonly workspace: WorkspaceStore;
  readonly store: DraftStore;
  readonly session: string;
  readonly onHealth?: (problem?: string) => void;
}

export function createWorkbench({ workspace, store, session, onHealth }: WorkbenchParts): Workbench {
  const journal = createJournal(store, onHealth);
  const listeners = new Set<(tab: Tab) => void>();
  let closed: ClosedTab[] = [];

  const tabOf = (id: string): Tab | undefined => workspace.getState().tabs.find((tab) => tab.id === id);

  const make = (id: string, opening: Opening): Tab => {
    const settle: Settle = (now, change) => settled(now, change, workspace.getState().types);
    const heard: ChangeListener = (now, change) => {
      journal.changed(id, now, applied(change));
      const tab = tabOf(id);
      if (tab === undefined) return;
      if (!tab.unsaved) {
        workspace.getState().patch(id, { unsaved: true });
        journal.setHead(id, { unsaved: true });
      }
      for (const listener of listeners) listener(tab);
    };
    const document = createDocumentStore(opening.document, heard, settle);
    /** What undo and redo did to the document, as a change; the history holds it by then. */
    const applied = (change: Change | "undo" | "redo"): Change => {
      if (change !== "undo" && change !== "redo") return change;
      const { done, undone } = document.getState().history;
      const step = change === "undo" ? undone.at(-1)?.inverse : done.at(-1)?.forward;
      return step ?? { kind: "all", changes: [] };
    };
    const file = opening.file === undefined ? {} : { file: opening.file };
    return { id, title: opening.title, ...file, unsaved: opening.unsaved ?? false, document, runs: createRunsStore() };
  };

  const headOf = (tab: Tab, order: number): DraftHead => {
    const file = tab.file === undefined ? {} : { file: tab.file };
    return { id: tab.id, owner: session, order, title: tab.title, ...file, unsaved: tab.unsaved };
  };

  const put = (tab: Tab): Tab => {
    journal.watch(headOf(tab, workspace.getState().tabs.length), tab.document.getState().document);
    workspace.getState().open(tab);
    return tab;
  };

  const keepOrder = (): void => {
    for (const [order, tab] of workspace.getState().tabs.entries()) {
      if (journal.headOf(tab.id)?.order !== order) journal.setHead(tab.id, { order });
    }
  };

  const forgetOldest = (): void => {
    for (const old of closed.slice(MAX_CLOSED)) journal.forget(old.head.id);
    closed = closed.slice(0, MAX_CLOSED);
  };

  const opened = (head: DraftHead, kept: Document): Tab => {
    const { types } = workspace.getState();
    const document = withTypes(kept, types, types); // it may be from a time without node types
    const file = head.file === undefined ? {} : { file: head.file };
    return put(make(head.id, { document, title: head.title, unsaved: head.unsaved, ...file }));
  };

  return {
    workspace,
    journal,
    open: (opening) => put(make(newId(), opening)),
    restore: (drafts, living) => {
      const free = drafts.filter(({ head }) => head.owner === session || !living.has(head.owner));
      const open = free.filter(({ head }) => head.closed === undefined && tabOf(head.id) === undefined);
      const ordered = [...open].sort((left, right) => left.head.order - right.head.order);
      for (const draft of ordered) opened(draft.head, replay(draft));
      closed = free
        .filter(({ head }) => head.closed !== undefined)
        .sort((left, right) => (right.head.closed ?? 0) - (left.head.closed ?? 0))
        .map((draft) => ({ head: draft.head, document: replay(draft) }));
      forgetOldest();
      return ordered.length;
    },
    retype: (before) => {
      const { tabs, types } = workspace.getState();
      for (const { id, document: store } of tabs) {
        const { document, reread } = store.getState();
        const read = withTypes(document, types, before);
        if (read === document) continue;
        reread(read);
        journal.rewrite(id, read);
      }
    },
    rename: (id, title) => {
      workspace.getState().patch(id, { title });
      journal.setHead(id, { title });
    },
    saved: (id, file, document) => {
      const unsaved = tabOf(id)?.document.getState().document !== document;
      workspace.getState().patch(id, { file, unsaved });
      journal.setHead(id, { file, unsaved });
    },
    move: (id, to) => {
      const { tabs } = workspace.getState();
      const tab = tabs.find((candidate) => candidate.id === id);
      if (tab === undefined) return;
      const others = tabs.filter((candidate) => candidate !== tab);
      workspace.setState({ tabs: [...others.slice(0, to), tab, ...others.slice(to)] });
      keepOrder();
    },
    close: (id) => {
      const tab = tabOf(id);
      if (tab === undefined) return;
      const time = Math.max(Date.now(), (closed[0]?.head.closed ?? 0) + 1); // the latest stands first
      journal.setHead(id, { closed: time });
      const head = { ...headOf(tab, 0), closed: time };
      closed = [{ head, document: tab.document.getState().document }, ...closed];
      forgetOldest();
      workspace.getState().close(id);
      keepOrder();
    },
    closed: () => closed,
    reopen: (id) => {
      const found = id === undefined ? closed[0] : closed.find((entry) => entry.head.id === id);
      if (found === undefined) return undefined;
      closed = closed.filter((entry) => entry !== found);
      return opened(found.head, found.document);
    },
    onChange: (heard) => {
      listeners.add(heard);
      return () => listeners.delete(heard);
    },
  };
}
