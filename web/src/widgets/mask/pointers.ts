// What pens, mice and fingers do on the surface. The canvas captures the pointer: a stroke that leaves it goes on, and
// what was painted stays whatever ends it.

import type { MaskSession } from "./session";
import type { Surface } from "./surface";
import { moved, pinched, toPicture, zoomAt, type Touch } from "./viewport";

interface Held {
  readonly space: boolean;
}

const RIGHT = 2;
const MIDDLE = 1;
/** The other end of a pen. */
const PEN_ERASER = 5;

/** Listens on the canvas until the function it answers with is called. */
export function listen(canvas: HTMLCanvasElement, surface: Surface, session: MaskSession, held: Held): () => void {
  const fingers = new Map<number, Touch>();
  let painting: number | undefined;
  let panning: number | undefined;
  let penSeen = false;

  const place = (event: MouseEvent): Touch => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const pressure = (event: PointerEvent): number => (event.pointerType === "pen" && event.pressure > 0 ? event.pressure : 1);

  const down = (event: PointerEvent): void => {
    event.preventDefault();
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    const at = place(event);
    if (event.pointerType === "pen") penSeen = true;
    if (event.pointerType === "touch") {
      fingers.set(event.pointerId, at);
      if (fingers.size > 1) {
        // The first finger of a pinch has painted a dot; nobody wanted it.
        if (painting !== undefined) session.cancel();
        painting = undefined;
        return;
      }
      // Beside a pen the hand rests on the glass: fingers move the picture.
      if (penSeen) {
        panning = event.pointerId;
        return;
      }
    }
    if (event.button === MIDDLE || held.space) {
      panning = event.pointerId;
      return;
    }
    const { x, y } = toPicture(surface.view, at.x, at.y);
    const erases = event.button === RIGHT || event.button === PEN_ERASER;
    if (session.settings.tool === "fill") return session.fill(x, y, erases);
    painting = event.pointerId;
    session.begin(x, y, pressure(event), erases);
  };

  const pinch = (event: PointerEvent, at: Touch): boolean => {
    if (!fingers.has(event.pointerId) || fingers.size < 2) return false;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, at);
    const after = [...fingers.values()];
    if (before[0] && before[1] && after[0] && after[1]) {
      surface.show(pinched(surface.view, [before[0], before[1]], [after[0], after[1]]));
    }
    return true;
  };
  const move = (event: PointerEvent): void => {
    const at = place(event);
    surface.point(event.pointerType === "touch" ? undefined : at);
    if (pinch(event, at)) return;
    if (panning === event.pointerId) {
      const last = fingers.get(event.pointerId);
      if (last === undefined) surface.show(moved(surface.view, event.movementX, event.movementY));
      else surface.show(moved(surface.view, at.x - last.x, at.y - last.y));
    }
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, at);
    if (painting !== event.pointerId) return;
    const events = event.getCoalescedEvents();
    for (const each of events.length > 0 ? events : [event]) {
      const spot = place(each);
      const { x, y } = toPicture(surface.view, spot.x, spot.y);
      session.move(x, y, pressure(each));
    }
  };
  const up = (event: PointerEvent): void => {
    fingers.delete(event.pointerId);
    if (panning === event.pointerId) panning = undefined;
    if (painting !== event.pointerId) return;
    painting = undefined;
    session.end();
  };
  const leave = (event: PointerEvent): void => {
    if (painting !== event.pointerId) surface.point(undefined);
  };
  const wheel = (event: WheelEvent): void => {
    event.preventDefault();
    const at = place(event);
    if (event.altKey) session.set({ size: session.settings.size * (event.deltaY < 0 ? 1.1 : 1 / 1.1) });
    else surface.show(zoomAt(surface.view, Math.exp(-event.deltaY * 0.0015), at.x, at.y));
    surface.point(at);
  };
  const menu = (event: Event): void => event.preventDefault();

  const all: [string, EventListener][] = [
    ["pointerdown", down as EventListener],
    ["pointermove", move as EventListener],
    ["pointerup", up as EventListener],
    ["pointercancel", up as EventListener],
    ["lostpointercapture", up as EventListener],
    ["pointerleave", leave as EventListener],
    ["wheel", wheel as EventListener],
    ["contextmenu", menu],
  ];
  for (const [name, heard] of all) canvas.addEventListener(name, heard, { passive: false });
  return () => {
    session.end();
    for (const [name, heard] of all) canvas.removeEventListener(name, heard);
  };
}
