// A colour: its code to write, and a patch that opens the system's picker.

import { t } from "../i18n";
import { ariaOf, useGestures, type FieldProps } from "./field";
import { keepTyping, textOf } from "./text-field";

/** `#rrggbb` for what a person may write; undefined if it is no such colour. */
export function colourIn(text: string): string | undefined {
  const found = /^#?([0-9a-f]{3}|[0-9a-f]{6})(?:[0-9a-f]{2})?$/i.exec(text.trim())?.[1];
  if (found === undefined) return undefined;
  const full = found.length === 3 ? [...found].map((digit) => digit + digit).join("") : found;
  return `#${full.toLowerCase()}`;
}

export function ColourField(props: FieldProps): React.JSX.Element {
  const gestures = useGestures();
  const text = textOf(props.value);
  const colour = colourIn(text);
  const invalid = props.invalid || (text !== "" && colour === undefined);
  return (
    <div className={`w-field w-text nodrag${invalid ? " is-invalid" : ""}`}>
      <span className="w-name">{props.label}</span>
      <input
        {...ariaOf({ ...props, invalid })}
        className="w-edit"
        spellCheck={false}
        value={text}
        onChange={(event) => props.set(event.target.value, gestures.current())}
        onBlur={gestures.end}
        onKeyDown={keepTyping}
      />
      <input
        type="color"
        className="w-patch"
        aria-label={t("widgets.colour.pick", { name: props.label })}
        value={colour ?? "#000000"}
        onChange={(event) => props.set(event.target.value, gestures.current())}
      />
    </div>
  );
}
