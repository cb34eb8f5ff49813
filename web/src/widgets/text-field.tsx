// A line of text in the row of its name.

import type { Json } from "../model/json";
import type { TextWidget } from "../model/types";
import { ariaOf, useGestures, type FieldProps } from "./field";

export const textOf = (value: Json): string => (typeof value === "string" ? value : value === null ? "" : String(value));

/** Keys that belong to the text while it is written; what starts with Ctrl and is no editing goes on to the commands. */
export function keepTyping(event: React.KeyboardEvent): void {
  const isCommand = (event.ctrlKey || event.metaKey) && !/^[acvxyz]$|^Arrow|^Home$|^End$|^Backspace$|^Delete$/i.test(event.key);
  if (!isCommand) event.stopPropagation();
}

export function TextField(props: FieldProps<TextWidget>): React.JSX.Element {
  const gestures = useGestures(1500);
  return (
    <label className={`w-field w-text nodrag${props.invalid ? " is-invalid" : ""}`}>
      <span className="w-name">{props.label}</span>
      <input
        {...ariaOf(props)}
        className="w-edit"
        spellCheck={false}
        autoComplete="off"
        value={textOf(props.value)}
        title={textOf(props.value)}
        onChange={(event) => props.set(event.target.value, gestures.current())}
        onBlur={gestures.end}
        onKeyDown={(event) => {
          if (event.key === "Escape" || (event.key === "Enter" && !event.ctrlKey && !event.metaKey)) event.currentTarget.blur();
          keepTyping(event);
        }}
      />
    </label>
  );
}
