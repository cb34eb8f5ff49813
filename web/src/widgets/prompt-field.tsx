// Text of several lines: it grows with what is written, keeps the browser's own undo, weighs words with Ctrl and the
// arrows, and completes names of embeddings and LoRAs.

import { useContext, useId, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { applyEdit, completed, completionAt, ranked, weigh, type Completion, type Edit } from "../model/prompt-text";
import type { TextWidget } from "../model/types";
import { CompletionList, CompletionsContext } from "./completions";
import { ariaOf, useGestures, type FieldProps } from "./field";
import { keepTyping, textOf } from "./text-field";

const WEIGHT_STEP = 0.05;

interface Offer {
  readonly completion: Completion;
  readonly names: readonly string[];
  readonly active: number;
  readonly at: { readonly x: number; readonly y: number };
}

export function PromptField(props: FieldProps<TextWidget>): React.JSX.Element {
  const { value, set } = props;
  const text = textOf(value);
  const gestures = useGestures(1500);
  const known = useContext(CompletionsContext);
  const mirror = useRef<HTMLDivElement>(null);
  const [offer, setOffer] = useState<Offer>();
  const id = useId();

  const offerAt = (area: HTMLTextAreaElement): void => {
    const caret = area.selectionStart;
    const completion = caret === area.selectionEnd ? completionAt(area.value, caret) : undefined;
    if (completion === undefined) return setOffer(undefined);
    const names = ranked(completion.kind === "lora" ? known.loras : known.embeddings, completion.query);
    const isDone = names.length === 1 && names[0] === completion.query;
    setOffer(names.length === 0 || isDone ? undefined : { completion, names, active: 0, at: caretPlace(area, mirror.current) });
  };
  const perform = (area: HTMLTextAreaElement, edit: Edit): void => {
    insert(area, edit, (whole) => flushSync(() => set(whole, gestures.current())));
    area.setSelectionRange(edit.start, edit.end);
  };
  const accept = (area: HTMLTextAreaElement, name: string | undefined): void => {
    if (offer !== undefined && name !== undefined) perform(area, completed(area.value, offer.completion, name));
    setOffer(undefined);
  };
  /** Whether the key was for the list of names. */
  const chosen = (area: HTMLTextAreaElement, key: string): boolean => {
    if (offer === undefined) return false;
    const count = offer.names.length;
    if (key === "ArrowDown" || key === "ArrowUp") {
      setOffer({ ...offer, active: (offer.active + (key === "ArrowDown" ? 1 : count - 1)) % count });
    } else if (key === "Enter" || key === "Tab") accept(area, offer.names[offer.active]);
    else if (key === "Escape") setOffer(undefined);
    else return false;
    return true;
  };
  const pressed = (event: React.KeyboardEvent<HTMLTextAreaElement>): boolean => {
    const area = event.currentTarget;
    if (event.nativeEvent.isComposing) return false;
    const isMod = event.ctrlKey || event.metaKey;
    if (isMod && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      const delta = event.key === "ArrowUp" ? WEIGHT_STEP : -WEIGHT_STEP;
      const edit = weigh(area.value, area.selectionStart, area.selectionEnd, delta);
      if (edit !== undefined) perform(area, edit);
      return true;
    }
    if (!isMod && chosen(area, event.key)) return true;
    if (event.key === "Escape") area.blur();
    return false;
  };
  const area = useRef<HTMLTextAreaElement>(null);

  return (
    <div className={`w-field w-prompt nodrag${props.invalid ? " is-invalid" : ""}`}>
      <span className="w-name">{props.label}</span>
      <div className="w-grow">
        <div className="w-mirror" ref={mirror} aria-hidden>{`${text}\u200b`}</div>
        <textarea
          {...ariaOf(props)}
          ref={area}
          className="w-area nopan"
          value={text}
          spellCheck={false}
          placeholder={typeof props.input.options["placeholder"] === "string" ? props.input.options["placeholder"] : "…"}
          aria-autocomplete="list"
          aria-controls={offer === undefined ? undefined : id}
          aria-activedescendant={offer === undefined ? undefined : `${id}-${String(offer.active)}`}
          onChange={(event) => {
            set(event.target.value, gestures.current());
            offerAt(event.target);
          }}
          onPointerEnter={(event) => keepWheel(event.currentTarget)}
          onInput={(event) => keepWheel(event.currentTarget)}
          onClick={() => setOffer(undefined)}
          onBlur={() => {
            gestures.end();
            setOffer(undefined);
          }}
          onKeyDown={(event) => {
            if (pressed(event)) {
              event.preventDefault();
              event.stopPropagation();
            } else keepTyping(event);
          }}
        />
      </div>
      {offer !== undefined && (
        <CompletionList
          id={id}
          names={offer.names}
          active={offer.active}
          at={offer.at}
          pick={(name) => area.current !== null && accept(area.current, name)}
        />
      )}
    </div>
  );
}

/** A text that scrolls takes the wheel; one that does not leaves it to the canvas. */
const keepWheel = (area: HTMLTextAreaElement): void => {
  area.classList.toggle("nowheel", area.scrollHeight > area.clientHeight + 1);
};

/** Type the edit as a person would, so that the browser's undo knows it; where it cannot, write the text as a whole. */
function insert(area: HTMLTextAreaElement, edit: Edit, write: (text: string) => void): void {
  const whole = applyEdit(area.value, edit);
  area.focus();
  area.setSelectionRange(edit.from, edit.to);
  const typed = typeof document.execCommand === "function" && document.execCommand("insertText", false, edit.insert);
  if (!typed || area.value !== whole) write(whole);
}

/** Where the caret stands in the window: the mirror has the same lines as the field. */
function caretPlace(area: HTMLTextAreaElement, mirror: HTMLDivElement | null): { x: number; y: number } {
  const box = area.getBoundingClientRect();
  const node = mirror?.firstChild;
  const below = { x: box.left, y: box.bottom + 2 };
  if (!(node instanceof Text) || typeof document.createRange().getBoundingClientRect !== "function") return below;
  const range = document.createRange();
  // The mirror is drawn anew after this event; its text up to the caret is the same but for what was typed last.
  range.setStart(node, Math.min(area.selectionStart, node.length));
  const place = range.getBoundingClientRect();
  const scale = area.offsetWidth > 0 ? box.width / area.offsetWidth : 1;
  const y = place.bottom - area.scrollTop * scale + 2;
  return { x: Math.min(place.left, box.right - 40), y: Math.min(Math.max(y, box.top), box.bottom + 2) };
}
