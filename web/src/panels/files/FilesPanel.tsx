// Files: the workflows saved on the server, the templates, the versions of the open one, drafts and closed tabs.

import { useTranslation } from "react-i18next";
import { useUi } from "../../state/editor";
import { TemplatesPage } from "../templates/TemplatesPage";
import { SavedPage } from "./SavedPage";
import { DraftsPage } from "./DraftsPage";
import { VersionsPage } from "./VersionsPage";
import "./files.css";

const PAGES = { saved: SavedPage, templates: TemplatesPage, versions: VersionsPage, drafts: DraftsPage } as const;
type Page = keyof typeof PAGES;

export function FilesPanel(): React.JSX.Element {
  const { t } = useTranslation();
  const page = useUi((state) => state.page);
  const show = useUi((state) => state.show);
  const shown: Page = page in PAGES ? (page as Page) : "saved";
  const Shown = PAGES[shown];
  return (
    <div className="files">
      <div className="pages" role="group" aria-label={t("panel.files")}>
        {(Object.keys(PAGES) as Page[]).map((name) => (
          <button key={name} type="button" aria-pressed={shown === name} onClick={() => show("files", name)}>
            {t(`files.page.${name}`)}
          </button>
        ))}
      </div>
      <Shown />
    </div>
  );
}
