// Blueprints: subgraphs kept as files under blueprints/ of the user's folder, each a small workflow with one instance.

import { copyNodes, paste } from "../model/formats";
import { levelOf } from "../model/document";
import { innerOf } from "../model/edit/subgraph";
import { ROOT } from "../model/ids";
import type { UserFiles } from "../net/userdata";
import { NOTHING_SELECTED } from "../state/documents";
import type { UiStore } from "../state/ui";
import type { WorkspaceStore } from "../state/workspace";
import { t } from "../i18n";
import { pathOf, titleOf } from "./fileService";
import { notify } from "./notify";
import type { BlueprintService, ViewService } from "./services";

const FOLDER = "blueprints";
const fileOf = (name: string): string => `${FOLDER}/${pathOf(name.replaceAll("/", "-"))}`;

interface Parts {
  readonly workspace: WorkspaceStore;
  readonly files: Pick<UserFiles, "list" | "read" | "write" | "remove">;
  readonly ui: UiStore;
  readonly view: Pick<ViewService, "place">;
}

export function createBlueprintService({ workspace, files, ui, view }: Parts): BlueprintService {
  const list = async (): Promise<string[]> =>
    (await files.list(FOLDER)).filter((info) => info.path.endsWith(".json")).map((info) => titleOf(info.path));
  return {
    list,
    publish: async (tab, node) => {
      const { document, path } = tab.document.getState();
      const level = levelOf(document, path.at(-1) ?? ROOT);
      const wanted = innerOf(document, level, node)?.definition?.name ?? "";
      const answer = await ui.getState().ask({
        title: t("command.structure.publish"),
        field: { label: t("shell.name"), value: wanted },
        actions: [{ id: "publish", label: t("blueprint.publish"), tone: "primary" }],
      });
      const name = answer?.text.trim() ?? "";
      if (name === "") return;
      if ((await list()).includes(titleOf(fileOf(name))) && !(await mayReplace(ui, name))) return;
      await files.write(fileOf(name), copyNodes(document, level.id, { nodes: [node] }, workspace.getState().types));
      notify(t("blueprint.published", { name }), { tone: "good" });
    },
    insert: async (tab, name) => {
      const { text } = await files.read(fileOf(name));
      const { document, path, edit, select } = tab.document.getState();
      const at = view.place();
      const made = paste(document, path.at(-1) ?? ROOT, text, workspace.getState().types, at === undefined ? {} : { at });
      edit(made.change, "command.structure.blueprint");
      select({ ...NOTHING_SELECTED, nodes: new Set(made.nodes) });
    },
    remove: (name) => files.remove(fileOf(name)),
  };
}

async function mayReplace(ui: UiStore, name: string): Promise<boolean> {
  const answer = await ui.getState().ask({
    title: t("blueprint.taken", { name }),
    actions: [{ id: "replace", label: t("files.overwrite"), tone: "danger" }],
  });
  return answer !== undefined;
}
