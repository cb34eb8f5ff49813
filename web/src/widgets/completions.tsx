// Names that can be completed in prompts, and the list that offers them at the caret.

import { createContext } from "react";
import { createPortal } from "react-dom";
import { t } from "../i18n";

export interface Completions {
  readonly embeddings: readonly string[];
  readonly loras: readonly string[];
}

export const NO_COMPLETIONS: Completions = { embeddings: [], loras: [] };

/** What the server has; the workspace gives it. */
export const CompletionsContext = createContext<Completions>(NO_COMPLETIONS);

interface CompletionListProps {
  readonly id: string;
  readonly names: readonly string[];
  readonly active: number;
  readonly at: { readonly x: number; readonly y: number };
  readonly pick: (name: string) => void;
}

export function CompletionList({ id, names, active, at, pick }: CompletionListProps): React.JSX.Element {
  return createPortal(
    <div id={id} role="listbox" aria-label={t("widgets.prompt.completions")} className="w-float w-completions nowheel" style={{ left: at.x, top: at.y }}>
      {names.map((name, place) => (
        <div
          key={name}
          id={`${id}-${String(place)}`}
          role="option"
          aria-selected={place === active}
          className={`w-option${place === active ? " is-active" : ""}`}
          ref={place === active ? (element) => element?.scrollIntoView?.({ block: "nearest" }) : undefined}
          // Before the text field loses the focus.
          onPointerDown={(event) => {
            event.preventDefault();
            pick(name);
          }}
        >
          <span className="w-option-text">{name}</span>
        </div>
      ))}
    </div>,
    document.body,
  );
}
