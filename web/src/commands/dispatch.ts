// From a key to a command. Text fields keep their own keys; what is open above the canvas keeps its own too.

import type { Command, CommandContext, CommandTable } from "./command";
import { byChord, chordOf, type Bindings } from "./keys";

/** Chords that text fields need for themselves, their own undo included. */
const OF_TEXT = new Set(
  ["z", "y", "x", "c", "v", "a", "shift+z", "shift+v", "arrowup", "arrowdown", "arrowleft", "arrowright", "backspace", "delete"].map(
    (key) => `mod+${key}`,
  ),
);
const OF_BUTTONS = new Set(["enter", "space", "tab", "shift+tab"]);

export const takesText = (element: Element | null): boolean =>
  element instanceof HTMLElement &&
  (element.isContentEditable ||
    element instanceof HTMLTextAreaElement ||
    element instanceof HTMLSelectElement ||
    (element instanceof HTMLInputElement && !["button", "checkbox", "radio", "range", "submit"].includes(element.type)));

/** Inside these the arrow keys, letters and Escape mean something else. */
const ABOVE = "[role=dialog],[role=menu],[role=listbox],[role=tree],[role=tablist],[role=slider]";
/** Lists that have plain keys of their own; undo and the like go on working there. */
const WITH_KEYS = "[data-keys=own]";

/** Whether a chord is for the element that has the focus, rather than for the commands. */
export function keptByElement(chord: string, element: Element | null): boolean {
  const plain = !/^(mod|ctrl|meta|alt)\+/.test(chord);
  if (takesText(element)) return (plain && !/^f\d+$/.test(chord)) || OF_TEXT.has(chord);
  if (element?.closest(ABOVE)) return plain || OF_TEXT.has(chord);
  if (plain && element?.closest(WITH_KEYS)) return true;
  return OF_BUTTONS.has(chord) && element?.closest("button,a,summary,[role=button],[role=tab],.rail,.topbar") != null;
}

export const canRun = (command: Command, context: CommandContext): boolean => command.when?.(context) ?? true;

export interface Dispatch {
  readonly table: CommandTable;
  readonly bindings: () => Bindings;
  readonly context: () => CommandContext;
  readonly mac: boolean;
  readonly failed: (error: unknown, command: Command) => void;
}

/** Run a command; an error is told, never swallowed. */
export async function runCommand(command: Command, context: CommandContext, failed: Dispatch["failed"]): Promise<void> {
  try {
    await command.run(context);
  } catch (error) {
    failed(error, command);
  }
}

/** Answers whether the event was a command's, which then runs. */
export function dispatchKey(event: KeyboardEvent, dispatch: Dispatch): boolean {
  if (event.defaultPrevented || event.isComposing) return false;
  const chord = chordOf(event, dispatch.mac);
  if (chord === undefined || keptByElement(chord, event.target instanceof Element ? event.target : null)) return false;
  const context = dispatch.context();
  const command = byChord(dispatch.table, dispatch.bindings())
    .get(chord)
    ?.find((candidate) => canRun(candidate, context));
  if (command === undefined || command.native?.includes(chord)) return false;
  event.preventDefault();
  void runCommand(command, context, dispatch.failed);
  return true;
}
