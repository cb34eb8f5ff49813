// Listeners that React cannot give: the wheel before React Flow hears it, the space key, long touches.

import type { Controller } from "../controller";

const KEPT_MS = 250;
const LONG_MS = 500;
const MOVED = 8;

/** The element between `target` and its node that the wheel would scroll. */
function scrolls(event: WheelEvent): boolean {
  let element = event.target instanceof Element ? event.target : null;
  while (element !== null && !element.classList.contains("react-flow__node") && !element.hasAttribute("data-canvas")) {
    if (element.scrollHeight > element.clientHeight + 1 && element instanceof HTMLElement) {
      const { overflowY } = getComputedStyle(element);
      if (overflowY === "auto" || overflowY === "scroll") return true;
    }
    element = element.parentElement;
  }
  return false;
}

export function attachSurface(controller: Controller, spaceHeld: { current: boolean }): (element: HTMLDivElement | null) => (() => void) | undefined {
  return (element) => {
    if (element === null) return undefined;
    const stop = new AbortController();
    const { signal } = stop;
    let moving = -Infinity;
    element.addEventListener(
      "wheel",
      (event) => {
        // Who moves the view is not stopped by a field that comes under the pointer.
        const goesOn = event.timeStamp - moving < KEPT_MS;
        if (!event.ctrlKey && !event.metaKey && !goesOn && scrolls(event)) return event.stopPropagation();
        moving = event.timeStamp;
      },
      { capture: true, passive: true, signal },
    );
    const space = (event: KeyboardEvent): void => {
      if (event.code === "Space") spaceHeld.current = event.type === "keydown";
      element.classList.toggle("is-panning", spaceHeld.current);
    };
    window.addEventListener("keydown", space, { signal });
    window.addEventListener("keyup", space, { signal });
    window.addEventListener("blur", () => (spaceHeld.current = false), { signal });
    longTouch(controller, element, signal);
    return () => stop.abort();
  };
}

/** A long touch opens the menu where the browser does not say so itself. */
function longTouch(controller: Controller, element: HTMLElement, signal: AbortSignal): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let from = { x: 0, y: 0 };
  const end = (): void => clearTimeout(timer);
  element.addEventListener(
    "pointerdown",
    (event) => {
      end();
      if (event.pointerType !== "touch" || !event.isPrimary) return;
      from = { x: event.clientX, y: event.clientY };
      const { target } = event;
      timer = setTimeout(() => {
        if (controller.view.getState().dragged.size > 0) return;
        target?.dispatchEvent(new MouseEvent("contextmenu", { bubbles: true, cancelable: true, clientX: from.x, clientY: from.y }));
      }, LONG_MS);
    },
    { signal, capture: true },
  );
  element.addEventListener("pointermove", (event) => Math.hypot(event.clientX - from.x, event.clientY - from.y) > MOVED && end(), { signal, capture: true });
  for (const name of ["pointerup", "pointercancel", "contextmenu"] as const) element.addEventListener(name, end, { signal, capture: true });
}
