// A number: drag to scrub, click or type to write (arithmetic too), arrows to step. With `slider` it shows where it stands.

import { useCallback, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { evaluate, fitted, fractionOf, numberIn, shown, stepped, stepsBetween, type Numeric, type NumberWidget, type Speed } from "../model/numbers";
import { t } from "../i18n";
import { ariaOf, newGesture, useGestures, useWheel, type FieldProps } from "./field";

/** Pixels of dragging for one step; what moves less than SLACK is a click. */
const PIXELS = 4;
const SLACK = 3;

interface Scrub {
  readonly pointer: number;
  readonly gesture: string;
  readonly from: number;
  x: number;
  /** Steps dragged so far that were not whole yet. */
  rest: number;
  moved: boolean;
  value: Numeric;
}

export const speedOf = (keys: { shiftKey: boolean; ctrlKey: boolean; metaKey: boolean }): Speed =>
  keys.shiftKey ? "fine" : keys.ctrlKey || keys.metaKey ? "coarse" : "normal";

export function NumberField(props: FieldProps<NumberWidget> & { readonly children?: React.ReactNode }): React.JSX.Element {
  const { widget, set } = props;
  const number = numberIn(props.value);
  const value = number ?? fitted(numberIn(widget.default) ?? 0, widget);
  const [draft, setDraft] = useState<string>();
  const box = useRef<HTMLDivElement>(null);
  const gestures = useGestures();

  const write = (next: Numeric, gesture?: string): void => {
    if (next !== number) set(next, gesture);
  };
  const step = (count: number, speed: Speed): void => write(stepped(value, count, widget, speed), gestures.current());
  const wheel = useWheel<HTMLDivElement>((event) => {
    if (document.activeElement !== event.currentTarget) return;
    event.preventDefault();
    event.stopPropagation();
    step(event.deltaY < 0 ? 1 : -1, speedOf(event));
  });
  const attach = useCallback(
    (element: HTMLDivElement | null) => {
      box.current = element;
      const stop = wheel(element);
      return () => {
        stop?.();
        box.current = null;
      };
    },
    [wheel],
  );
  const begin = (text: string): void => setDraft(text);
  const finish = (text: string | undefined): void => {
    const written = text === undefined ? undefined : evaluate(text, value);
    flushSync(() => setDraft(undefined));
    if (written !== undefined) write(fitted(written, widget));
  };

  if (draft !== undefined) {
    const leave = (text: string | undefined): void => {
      finish(text);
      box.current?.focus();
    };
    return (
      <NumberInput {...props} draft={draft} value={value} change={setDraft} leave={leave} finish={finish}>
        {props.children}
      </NumberInput>
    );
  }
  return <NumberBox {...props} attach={attach} value={value} number={number} step={step} begin={begin} write={write} />;
}

interface InputProps extends FieldProps<NumberWidget> {
  readonly draft: string;
  readonly value: Numeric;
  readonly change: (text: string) => void;
  readonly leave: (text: string | undefined) => void;
  readonly finish: (text: string | undefined) => void;
  readonly children?: React.ReactNode;
}

/** The number while it is written. */
function NumberInput({ draft, value, change, leave, finish, ...props }: InputProps): React.JSX.Element {
  const wrong = draft.trim() !== "" && evaluate(draft, value) === undefined;
  return (
    <div className="w-field w-number nodrag">
      <span className="w-name">{props.label}</span>
      <input
        {...ariaOf({ ...props, invalid: wrong })}
        className="w-edit"
        autoFocus
        spellCheck={false}
        autoComplete="off"
        inputMode={props.widget.kind === "int" ? "numeric" : "decimal"}
        value={draft}
        onFocus={(event) => {
          // A digit that began the writing is not selected: the next one goes behind it.
          if (event.target.value.length > 1) event.target.select();
        }}
        onChange={(event) => change(event.target.value)}
        onBlur={(event) => finish(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) leave(event.currentTarget.value);
          else if (event.key === "Escape") leave(undefined);
          else return;
          event.preventDefault();
          event.stopPropagation();
        }}
      />
      {props.children}
    </div>
  );
}

interface BoxProps extends FieldProps<NumberWidget> {
  readonly attach: (element: HTMLDivElement | null) => void;
  readonly value: Numeric;
  /** The value of the document, if it is a number at all. */
  readonly number: Numeric | undefined;
  readonly step: (count: number, speed: Speed) => void;
  readonly begin: (text: string) => void;
  readonly write: (value: Numeric, gesture?: string) => void;
  readonly children?: React.ReactNode;
}

type Actions = Omit<BoxProps, "attach">;

/** The number at rest: it is scrubbed, stepped, or opened to be written. */
function NumberBox({ attach, ...props }: BoxProps): React.JSX.Element {
  const { widget, value, number, begin } = props;
  const scrub = useScrub(props);
  const isSlider = props.input.options["display"] === "slider";
  const fraction = isSlider ? fractionOf(value, widget) : undefined;
  const text = number === undefined ? String(props.value) : shown(value, widget);
  const open = (): void => begin(number === undefined ? "" : String(value));
  const label = t("widgets.number.hint");
  return (
    <div className={`w-field w-number nodrag${props.invalid || number === undefined ? " is-invalid" : ""}`}>
      {fraction !== undefined && <span className="w-fill" style={{ transform: `scaleX(${String(fraction)})` }} />}
      <div
        {...ariaOf(props)}
        ref={attach}
        className="w-scrub"
        role={isSlider ? "slider" : "spinbutton"}
        tabIndex={0}
        title={label}
        aria-valuenow={Number(value)}
        aria-valuetext={text}
        aria-valuemin={Number.isFinite(Number(widget.min)) ? Number(widget.min) : undefined}
        aria-valuemax={Number.isFinite(Number(widget.max)) ? Number(widget.max) : undefined}
        onFocus={(event) => event.currentTarget.classList.add("nowheel")}
        onBlur={(event) => event.currentTarget.classList.remove("nowheel")}
        onKeyDown={(event) => {
          if (!pressed(event, props, open)) return;
          event.preventDefault();
          event.stopPropagation();
        }}
        {...scrub}
        onDoubleClick={(event) => event.stopPropagation()}
      >
        <span className="w-name">{props.label}</span>
        <span className="w-value">{text}</span>
      </div>
      {props.children}
    </div>
  );
}

const STEPS: Readonly<Record<string, number>> = { ArrowUp: 1, ArrowRight: 1, PageUp: 1, ArrowDown: -1, ArrowLeft: -1, PageDown: -1 };

/** Whether the key was one of ours. */
function pressed(event: React.KeyboardEvent, { widget, step, begin, write }: Actions, open: () => void): boolean {
  const { key } = event;
  const count = STEPS[key];
  const isFree = !event.ctrlKey && !event.metaKey;
  if (count !== undefined) step(count, key.startsWith("Page") ? "coarse" : speedOf(event));
  else if (isFree && (key === "Enter" || key === "F2")) open();
  else if (isFree && key.length === 1 && /[-\d.,+*/%(]/.test(key)) begin(key);
  else {
    const end = isFree ? endOf(key, widget) : undefined;
    if (end === undefined) return false;
    write(fitted(end, widget));
  }
  return true;
}

function endOf(key: string, { min, max }: NumberWidget): Numeric | undefined {
  const end = key === "Home" ? min : key === "End" ? max : undefined;
  return end !== undefined && Number.isFinite(Number(end)) ? end : undefined;
}

type ScrubHandlers = Pick<
  React.DOMAttributes<HTMLDivElement>,
  "onPointerDown" | "onPointerMove" | "onPointerUp" | "onPointerCancel" | "onClick"
>;

/** Dragging sideways changes the value; every drag is one step of undo, and a press without a drag opens the field. */
function useScrub({ widget, value, number, begin, write, input }: Actions): ScrubHandlers {
  const scrub = useRef<Scrub | undefined>(undefined);
  const drag = (now: Scrub, event: React.PointerEvent): void => {
    const width = event.currentTarget.getBoundingClientRect().width;
    const isSlider = input.options["display"] === "slider" && fractionOf(value, widget) !== undefined;
    const pixels = isSlider && width > 0 ? width / stepsBetween(widget) : PIXELS;
    const moved = (event.clientX - now.x) / pixels + now.rest;
    const steps = Math.trunc(moved);
    now.x = event.clientX;
    now.rest = moved - steps;
    if (steps === 0) return;
    now.value = stepped(now.value, steps, widget, speedOf(event));
    write(now.value, now.gesture);
  };
  return {
    onPointerDown: (event) => {
      if (event.button !== 0) return;
      event.currentTarget.focus();
      event.currentTarget.setPointerCapture(event.pointerId);
      const from = event.clientX;
      scrub.current = { pointer: event.pointerId, gesture: newGesture(), from, x: from, rest: 0, moved: false, value };
    },
    onPointerMove: (event) => {
      const now = scrub.current;
      if (now === undefined || now.pointer !== event.pointerId) return;
      if (!now.moved && Math.abs(event.clientX - now.from) <= SLACK) return;
      now.moved = true;
      drag(now, event);
    },
    onPointerUp: (event) => {
      const now = scrub.current;
      scrub.current = undefined;
      if (now === undefined || now.moved || event.button !== 0) return;
      begin(number === undefined ? "" : String(value));
    },
    onPointerCancel: () => {
      scrub.current = undefined;
    },
  };
}
