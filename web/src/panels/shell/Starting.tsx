// The page until the server has told its node types, which takes seconds where it has only just begun.

import { useTranslation } from "react-i18next";

export function Starting(): React.JSX.Element {
  const { t } = useTranslation();
  return (
    <div className="shell" aria-busy>
      <header className="topbar" />
      <div className="rail" />
      <main className="stage welcome starting">
        <p role="status">{t("shell.starting")}</p>
      </main>
    </div>
  );
}
