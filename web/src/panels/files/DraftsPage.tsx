// What was closed here, and the drafts that the server keeps (of this browser and of others).

import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { writeJson } from "../../model/json";
import { messageOf, notify } from "../../commands/notify";
import { useWorkspace } from "../../state/context";
import { useEditor } from "../shell/editor";
import { useLoaded } from "./useLoaded";

export function DraftsPage(): React.JSX.Element {
  const { t, i18n } = useTranslation();
  const { bench, drafts, services } = useEditor();
  const tabs = useWorkspace((state) => state.tabs);
  const load = useCallback(() => drafts.list(), [drafts]);
  const { data, problem } = useLoaded(load);
  const dates = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium", timeStyle: "short" });
  const others = (data ?? []).filter(({ id }) => !tabs.some((tab) => tab.id === id));
  const closed = bench.closed().filter(({ head }) => !tabs.some((tab) => tab.id === head.id));

  const open = async (id: string): Promise<void> => {
    try {
      const draft = await drafts.read(id);
      await services.files.openText(writeJson(draft.workflow), draft.title);
    } catch (error) {
      notify(t("files.cannotOpen", { name: id }), { tone: "error", details: messageOf(error) });
    }
  };

  return (
    <>
      <p className="hint">{t("files.draftsHelp")}</p>
      <section aria-labelledby="drafts-closed">
        <h3 id="drafts-closed">{t("files.closedHere")}</h3>
        {closed.length === 0 && <p className="hint">{t("files.nothingClosed")}</p>}
        <ul className="file-list">
          {closed.map(({ head }) => (
            <li key={head.id}>
              <button type="button" className="file" onClick={() => void bench.reopen(head.id)}>
                <span className="file-name">{head.title}</span>
                <small>{dates.format(head.closed)}</small>
              </button>
            </li>
          ))}
        </ul>
      </section>
      <section aria-labelledby="drafts-server">
        <h3 id="drafts-server">{t("files.onServer")}</h3>
        {problem !== undefined && <p className="hint" role="alert">{t("files.cannotList", { problem })}</p>}
        {data !== undefined && others.length === 0 && <p className="hint">{t("files.noDrafts")}</p>}
        <ul className="file-list">
          {others.map(({ id, modified }) => (
            <li key={id}>
              <button type="button" className="file" onClick={() => void open(id)}>
                <span className="file-name">{t("files.draftOf", { when: dates.format(modified) })}</span>
                <small>{id.slice(0, 8)}</small>
              </button>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}
