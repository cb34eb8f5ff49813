// What a workflow needs and the server has not, with what to do. The workflow is open behind it already.

import * as Dialog from "@radix-ui/react-dialog";
import { useTranslation } from "react-i18next";
import { countMissing, findMissing, replaceChoice } from "../../commands/missing";
import { useUi } from "../../state/editor";
import { useEditor } from "./editor";

export function MissingDialog(): React.JSX.Element | null {
  const { t } = useTranslation();
  const report = useUi((state) => state.missing);
  const setMissing = useUi((state) => state.setMissing);
  const { context, workspace } = useEditor();
  if (report === undefined) return null;
  const replace = (missing: string, by: string): void => {
    const tab = context().tab;
    if (tab === undefined) return;
    const { document, edit } = tab.document.getState();
    const { types } = workspace.getState();
    const change = replaceChoice(document, types, missing, by);
    if (change !== undefined) edit(change, "missing.replaced");
    const left = findMissing(tab.document.getState().document, types, report.title);
    setMissing(countMissing(left) === 0 ? undefined : left);
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && setMissing(undefined)}>
      <Dialog.Portal>
        <Dialog.Overlay className="dialog-shade" />
        <Dialog.Content className="dialog wide">
          <Dialog.Title className="dialog-title">{t("missing.title", { name: report.title })}</Dialog.Title>
          <Dialog.Description className="dialog-text">{t("missing.text")}</Dialog.Description>
          {report.nodes.length > 0 && (
            <section>
              <h3>{t("missing.nodes")}</h3>
              <ul className="missing-list">
                {report.nodes.map((node) => (
                  <li key={node.type}>
                    <strong>{node.type}</strong>
                    <span>{[t("missing.times", { count: node.count }), node.pack].filter(Boolean).join(" · ")}</span>
                  </li>
                ))}
              </ul>
              <p className="hint">{t("missing.nodesHelp")}</p>
            </section>
          )}
          {report.models.length > 0 && (
            <section>
              <h3>{t("missing.models")}</h3>
              <ul className="missing-list">
                {report.models.map((model) => (
                  <li key={model.name}>
                    <strong>{model.name}</strong>
                    <span>
                      {model.folder !== "" && t("missing.into", { folder: `models/${model.folder}` })}{" "}
                      {model.url !== undefined && (
                        <a href={model.url} target="_blank" rel="noreferrer noopener">
                          {new URL(model.url).host}
                        </a>
                      )}
                    </span>
                    {model.nearest !== undefined && (
                      <span className="missing-nearest">
                        {t("missing.nearest", { name: model.nearest })}{" "}
                        <button type="button" className="chip" onClick={() => replace(model.name, model.nearest ?? "")}>
                          {t("missing.use")}
                        </button>
                      </span>
                    )}
                  </li>
                ))}
              </ul>
              <p className="hint">{t("missing.modelsHelp")}</p>
            </section>
          )}
          {report.inputs.length > 0 && (
            <section>
              <h3>{t("missing.inputs")}</h3>
              <ul className="missing-list">
                {report.inputs.map((input) => (
                  <li key={`${input.node} ${input.name} ${input.value}`}>
                    <strong>{input.value}</strong>
                    <span>{`${input.node}, ${input.name}`}</span>
                  </li>
                ))}
              </ul>
              <p className="hint">{t("missing.inputsHelp")}</p>
            </section>
          )}
          <div className="dialog-actions">
            <span className="spring" />
            <button type="button" className="button primary" onClick={() => setMissing(undefined)}>
              {t("shell.close")}
            </button>
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
