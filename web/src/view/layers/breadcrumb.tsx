// The way from the workflow into the subgraph that is shown.

import { ChevronRight } from "lucide-react";
import { Fragment } from "react";
import { useTranslation } from "react-i18next";
import { useShallow } from "zustand/react/shallow";
import { useDocument, useDocumentStore } from "../../state/context";

export function Breadcrumb(): React.JSX.Element | null {
  const { t } = useTranslation();
  const documents = useDocumentStore();
  const names = useDocument(useShallow((state) => state.path.map((id) => state.document.levels.get(id)?.definition?.name ?? "")));
  if (names.length < 2) return null;
  return (
    <nav className="c-crumbs c-over" aria-label={t("view.crumbs")}>
      {names.map((name, depth) => (
        <Fragment key={depth}>
          {depth > 0 && <ChevronRight size={13} aria-hidden />}
          <button
            type="button"
            aria-current={depth === names.length - 1 ? "page" : undefined}
            onClick={() => {
              documents.getState().leaveTo(depth);
              // The keys of the canvas are what is wanted next, Escape for one.
              document.querySelector<HTMLElement>(".canvas-flow")?.focus({ preventScroll: true });
            }}
          >
            {depth === 0 ? t("view.crumbs.root") : name}
          </button>
        </Fragment>
      ))}
    </nav>
  );
}
