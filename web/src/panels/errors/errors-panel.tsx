// The errors of a tab as the shell places them: which node, which input, what is there, what is allowed, and the way to it.

import { useTranslation } from "react-i18next";
import { useRuns, useTab } from "../../state/context";
import { useEditor } from "../shell/editor";
import { ErrorsList } from "./errors-list";
import { placeOf } from "./place";
import { showInput } from "./show-input";

export function ErrorsPanel(): React.JSX.Element {
  const { i18n } = useTranslation();
  const { workspace, services } = useEditor();
  const tab = useTab();
  const errors = useRuns((state) => state.errors);
  const place = (serverId: string) => placeOf(tab.document.getState().document, workspace.getState().types, serverId);
  return (
    <ErrorsList
      key={i18n.language}
      errors={errors}
      titleOf={(serverId) => place(serverId)?.title}
      onShow={(serverId, input) => {
        const found = place(serverId);
        if (found !== undefined) showInput(tab, services.view, found, input);
      }}
    />
  );
}
