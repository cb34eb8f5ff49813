// The place where the mask is painted, and its keys.

import { useEffect, useRef } from "react";
import { t } from "../../i18n";
import type { Painting } from "./files";
import { listen } from "./pointers";
import type { MaskSession } from "./session";
import { Surface } from "./surface";
import { zoomAt } from "./viewport";

interface MaskCanvasProps {
  readonly painting: Painting;
  readonly save: () => void;
}

export function MaskCanvas({ painting, save }: MaskCanvasProps): React.JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const ring = useRef<HTMLDivElement>(null);
  const surface = useRef<Surface | undefined>(undefined);
  const held = useRef({ space: false });

  // A canvas is no part of React: it is set up with the element and taken down with it.
  useEffect(() => {
    if (canvas.current === null || ring.current === null) return undefined;
    const made = new Surface(canvas.current, ring.current, painting);
    surface.current = made;
    const stop = listen(canvas.current, made, painting.session, held.current);
    canvas.current.focus();
    return () => {
      stop();
      made.dispose();
    };
  }, [painting]);

  const pressed = (event: React.KeyboardEvent<HTMLElement>): void => {
    if (event.key === " ") held.current.space = true;
    else if (event.key === "s" && (event.ctrlKey || event.metaKey)) save();
    else if (!(pressedView(event, surface.current) || pressedTool(event, painting.session))) return;
    event.preventDefault();
  };
  return (
    <div
      className="m-stage"
      onKeyDown={pressed}
      onKeyUp={(event) => {
        if (event.key === " ") held.current.space = false;
      }}
      onBlur={() => {
        held.current.space = false;
      }}
    >
      <canvas ref={canvas} className="m-canvas" tabIndex={0} aria-label={t("mask.canvas")} />
      <div ref={ring} className="m-ring" hidden aria-hidden />
      <p className="m-hint">{t("mask.hint")}</p>
    </div>
  );
}

/** Whether the key was one of the view's. */
function pressedView(event: React.KeyboardEvent<HTMLElement>, surface: Surface | undefined): boolean {
  if (surface === undefined || event.ctrlKey || event.metaKey) return false;
  const { clientWidth, clientHeight } = event.currentTarget;
  const factor = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
  if (factor !== undefined) surface.show(zoomAt(surface.view, factor, clientWidth / 2, clientHeight / 2));
  else if (event.key === "0") surface.fit();
  else return false;
  return true;
}

const GROWTH = 1.2;

/** What a key does, by its name; capital letters count as small ones. */
const KEYS: Readonly<Record<string, (session: MaskSession) => void>> = {
  b: (session) => session.set({ tool: "brush" }),
  e: (session) => session.set({ tool: "eraser" }),
  g: (session) => session.set({ tool: "fill" }),
  x: (session) => session.set({ tool: session.settings.tool === "eraser" ? "brush" : "eraser" }),
  i: (session) => session.invert(),
  delete: (session) => session.clear(),
  "[": (session) => session.set({ size: Math.floor(session.settings.size / GROWTH) }),
  "]": (session) => session.set({ size: Math.ceil(session.settings.size * GROWTH) }),
  "{": (session) => session.set({ hardness: session.settings.hardness - 0.1 }),
  "}": (session) => session.set({ hardness: session.settings.hardness + 0.1 }),
};

/** Whether the key was one of the tools'. */
export function pressedTool(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey">, session: MaskSession): boolean {
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key === "z" && !event.shiftKey) session.undo();
    else if (key === "z" || key === "y") session.redo();
    else return false;
    return true;
  }
  const act = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
  act?.(session);
  return act !== undefined;
}
