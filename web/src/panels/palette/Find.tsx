// Find in the workflow: a list under the search, jumping to the node while one goes through it.

import * as Dialog from "@radix-ui/react-dialog";
import { Command as Cmdk } from "cmdk";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import { useWorkspace } from "../../state/context";
import { useEditor } from "../shell/editor";
import { jumpTo } from "../shell/jump";
import type { Tab } from "../../state/workspace";
import { findInDocument } from "./find";
import "./palette.css";

export function Find({ tab, onClose }: { readonly tab: Tab; readonly onClose: () => void }): React.JSX.Element {
  const { t } = useTranslation();
  const { services } = useEditor();
  const document = useStore(tab.document, (state) => state.document);
  const types = useWorkspace((state) => state.types);
  const [query, setQuery] = useState("");
  const found = findInDocument(document, types, query);
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Content className="palette at-side" aria-describedby={undefined}>
          <Dialog.Title className="hidden-text">{t("command.view.find")}</Dialog.Title>
          <Cmdk label={t("command.view.find")} shouldFilter={false} loop>
            <Cmdk.Input value={query} onValueChange={setQuery} placeholder={t("palette.findPlaceholder")} />
            <Cmdk.List>
              <Cmdk.Empty>{t("palette.nothing", { query })}</Cmdk.Empty>
              {found.map((item) => (
                <Cmdk.Item
                  key={`${item.level} ${item.node}`}
                  value={`${item.level} ${item.node}`}
                  onSelect={() => {
                    jumpTo(tab, item.path, item.node);
                    onClose();
                    requestAnimationFrame(() => services.view.fitSelection());
                  }}
                >
                  <span className="palette-group">#{item.node}</span>
                  <span className="palette-name">
                    {item.title}
                    {item.field !== undefined && <small>{`${item.field.name}: …${item.field.value}…`}</small>}
                  </span>
                </Cmdk.Item>
              ))}
            </Cmdk.List>
          </Cmdk>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
