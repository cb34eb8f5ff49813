// What every field of a widget is given, and the gestures that merge its changes into one step of undo.

import { useInsertionEffect, useRef, useState } from "react";
import type { Json } from "../model/json";
import type { InputType, Widget } from "../model/types";

export interface FieldProps<W extends Widget = Widget> {
  readonly input: InputType;
  readonly widget: W;
  readonly label: string;
  /** As it stands in the document; it may be of any type. */
  readonly value: Json;
  readonly invalid: boolean;
  /** The id of the text that says what is wrong. */
  readonly describedBy: string | undefined;
  readonly set: (value: Json, gesture?: string) => void;
}

let gestures = 0;

export const newGesture = (): string => `widget-${++gestures}`;

export interface Gestures {
  /** The gesture of now: the same until a pause or until it is ended. */
  readonly current: () => string;
  readonly end: () => void;
}

/** Changes that follow each other within `pause` milliseconds are one gesture. */
export function makeGestures(pause: number): Gestures {
  let [id, last] = ["", -Infinity];
  return {
    current: () => {
      const now = performance.now();
      if (now - last > pause) id = newGesture();
      last = now;
      return id;
    },
    end: () => {
      last = -Infinity;
    },
  };
}

export function useGestures(pause = 900): Gestures {
  const [made] = useState(() => makeGestures(pause));
  return made;
}

/** What the field has to say to a reader of the screen. */
export const ariaOf = (props: Pick<FieldProps, "label" | "invalid" | "describedBy">): Record<string, string | true> => ({
  "aria-label": props.label,
  ...(props.invalid ? { "aria-invalid": true } : {}),
  ...(props.describedBy === undefined ? {} : { "aria-describedby": props.describedBy }),
});

/** A listener for the wheel that may keep the page from scrolling, which React's own may not. */
export function useWheel<E extends HTMLElement>(turned: (event: WheelEvent) => void): (element: E | null) => (() => void) | undefined {
  const latest = useRef(turned);
  const [attach] = useState(() => (element: E | null) => {
    if (element === null) return undefined;
    const heard = (event: WheelEvent): void => latest.current(event);
    element.addEventListener("wheel", heard, { passive: false });
    return () => element.removeEventListener("wheel", heard);
  });
  useInsertionEffect(() => {
    latest.current = turned;
  });
  return attach;
}
