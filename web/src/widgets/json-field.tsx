// A widget that this version does not know: its value as JSON. What cannot be read is not written.

import { useState } from "react";
import { JsonError, parseJson, writeJson, type Json } from "../model/json";
import { ariaOf, type FieldProps } from "./field";
import { keepTyping } from "./text-field";

type Read = { readonly value: Json } | { readonly fault: string };

function read(text: string): Read {
  try {
    return { value: parseJson(text) };
  } catch (error) {
    if (error instanceof JsonError) return { fault: error.message };
    throw error;
  }
}

export function JsonField(props: FieldProps): React.JSX.Element {
  const [draft, setDraft] = useState<string>();
  const text = draft ?? writeJson(props.value);
  const result = draft === undefined ? undefined : read(draft);
  const fault = result !== undefined && "fault" in result ? result.fault : undefined;
  const leave = (): void => {
    if (result === undefined || "fault" in result) return;
    if (writeJson(result.value) !== writeJson(props.value)) props.set(result.value);
    setDraft(undefined);
  };
  return (
    <div className={`w-field w-prompt w-json nodrag${props.invalid || fault !== undefined ? " is-invalid" : ""}`}>
      <span className="w-name">{props.label}</span>
      <div className="w-grow">
        <div className="w-mirror" aria-hidden>{`${text}\u200b`}</div>
        <textarea
          {...ariaOf({ ...props, invalid: props.invalid || fault !== undefined })}
          className="w-area nopan nowheel"
          spellCheck={false}
          value={text}
          onChange={(event) => setDraft(event.target.value)}
          onBlur={leave}
          onKeyDown={(event) => {
            if (event.key === "Escape") setDraft(undefined);
            keepTyping(event);
          }}
        />
      </div>
      {fault !== undefined && <p className="w-fault">{fault}</p>}
    </div>
  );
}
