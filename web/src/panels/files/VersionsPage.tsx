// The last versions of the file that is shown; any of them opens in a tab of its own, so nothing is lost by looking.

import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { titleOf } from "../../commands/fileService";
import { messageOf, notify } from "../../commands/notify";
import { useWorkspace } from "../../state/context";
import { useEditor } from "../shell/editor";
import { useLoaded } from "./useLoaded";

export function VersionsPage(): React.JSX.Element {
  const { t } = useTranslation();
  const path = useWorkspace((state) => state.tabs.find((tab) => tab.id === state.active)?.file?.path);
  return path === undefined ? <p className="hint">{t("files.noVersions")}</p> : <Versions path={path} />;
}

function Versions({ path }: { readonly path: string }): React.JSX.Element {
  const { t, i18n } = useTranslation();
  const { client, services } = useEditor();
  const load = useCallback(() => client.files.versions(path), [client, path]);
  const { data, problem } = useLoaded(load);
  const dates = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium", timeStyle: "medium" });
  const sizes = new Intl.NumberFormat(i18n.language, { style: "unit", unit: "kilobyte", maximumFractionDigits: 1 });

  const open = async (version: string, when: string): Promise<void> => {
    try {
      const { text } = await client.files.readVersion(path, version);
      await services.files.openText(text, `${titleOf(path)} (${when})`);
    } catch (error) {
      notify(t("files.cannotOpen", { name: titleOf(path) }), { tone: "error", details: messageOf(error) });
    }
  };

  return (
    <>
      <p className="hint">{t("files.versionsOf", { name: titleOf(path) })}</p>
      {problem !== undefined && <p className="hint" role="alert">{t("files.cannotList", { problem })}</p>}
      {data?.length === 0 && <p className="hint">{t("files.noVersionsYet")}</p>}
      <ul className="file-list">
        {data?.map((version) => {
          const when = dates.format(version.modified);
          return (
            <li key={version.path}>
              <button type="button" className="file" onClick={() => void open(version.path, when)}>
                <span className="file-name">{when}</span>
                <small>{sizes.format(version.size / 1000)}</small>
              </button>
            </li>
          );
        })}
      </ul>
    </>
  );
}
