// The way from an error to the field that it is about.

import type { ViewService } from "../../commands/services";
import type { Tab } from "../../state/workspace";
import { jumpTo } from "../shell/jump";
import type { Place } from "./place";

/** Frames until a node that comes into sight has its fields on the page. */
const PATIENCE = 30;

/** Show a node, selected, and put the focus into the field of one of its inputs. */
export function showInput(tab: Tab, view: Pick<ViewService, "fitSelection">, place: Place, input?: string): void {
  jumpTo(tab, place.path, place.node);
  requestAnimationFrame(() => {
    view.fitSelection();
    if (input !== undefined) focusField(place.node, input, PATIENCE);
  });
}

function focusField(node: string, input: string, patience: number): void {
  const element = document.querySelector(`[data-id="n:${CSS.escape(node)}"] [data-widget="${CSS.escape(input)}"]`);
  const field = element?.querySelector<HTMLElement>("input,textarea,select,[tabindex='0'],button:not([data-slot])");
  if (field) field.focus({ preventScroll: true });
  else if (patience > 0) requestAnimationFrame(() => focusField(node, input, patience - 1));
}
