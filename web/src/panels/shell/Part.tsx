// A part of the page that is loaded when it is first shown, and that says so if that fails instead of taking all down.

import { Component, Suspense, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

export function Part({ children }: { readonly children: ReactNode }): React.JSX.Element {
  return (
    <Guard>
      <Suspense fallback={<Loading />}>{children}</Suspense>
    </Guard>
  );
}

function Loading(): React.JSX.Element {
  const { t } = useTranslation();
  return (
    <span className="hidden-text" aria-busy>
      {t("shell.loading")}
    </span>
  );
}

class Guard extends Component<{ readonly children: ReactNode }, { readonly problem?: string }> {
  override state: { readonly problem?: string } = {};

  static getDerivedStateFromError(error: unknown): { problem: string } {
    return { problem: error instanceof Error ? error.message : String(error) };
  }

  override render(): ReactNode {
    const { problem } = this.state;
    return problem === undefined ? this.props.children : <Failed problem={problem} />;
  }
}

function Failed({ problem }: { readonly problem: string }): React.JSX.Element {
  const { t } = useTranslation();
  return (
    <div className="part-failed" role="alert">
      <p>{t("shell.loadFailed")}</p>
      <pre>{problem}</pre>
      <button type="button" className="button" onClick={() => location.reload()}>
        {t("shell.reload")}
      </button>
    </div>
  );
}
