// Five icons, one for each panel. At the side, or along the bottom where the page is narrow.

import { FolderOpen, Images, ListTree, Plus, Settings2 } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useUi } from "../../state/editor";
import { PANELS } from "../../state/ui";

const ICONS = { nodes: Plus, jobs: Images, files: FolderOpen, outline: ListTree, settings: Settings2 } as const;

export function Rail(): React.JSX.Element {
  const { t } = useTranslation();
  const panel = useUi((state) => state.panel);
  const toggle = useUi((state) => state.toggle);
  return (
    <nav className="rail" aria-label={t("shell.panels")}>
      {PANELS.map((name) => {
        const Icon = ICONS[name];
        return (
          <button
            key={name}
            type="button"
            className="rail-button"
            data-panel={name}
            aria-pressed={panel === name}
            aria-label={t(`panel.${name}`)}
            title={t(`panel.${name}`)}
            onClick={() => toggle(name)}
          >
            <Icon size={18} strokeWidth={1.75} aria-hidden />
            <span className="rail-label" aria-hidden>
              {t(`panel.${name}`)}
            </span>
          </button>
        );
      })}
    </nav>
  );
}
