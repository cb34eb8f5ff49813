// What is asked of the server whenever the line to it opens: its node types, and whether it was updated.

import { messageOf, notify } from "../../commands/notify";
import { t } from "../../i18n";
import { withOwnTypes } from "../../model/own-types";
import type { Client, VersionCheck } from "../../net";
import type { Workbench } from "../../state/workbench";
import type { WorkspaceStore } from "../../state/workspace";

export async function loadTypes(client: Pick<Client, "nodeTypes">, workspace: WorkspaceStore): Promise<void> {
  try {
    workspace.getState().setTypes(withOwnTypes(await client.nodeTypes()));
  } catch (error) {
    notify(t("shell.noTypes"), { tone: "error", details: messageOf(error) });
  }
}

interface Parts {
  readonly client: Pick<Client, "nodeTypes">;
  readonly workspace: WorkspaceStore;
  readonly bench: Pick<Workbench, "retype">;
}

/** `again`: the line was lost meanwhile, so the server may have other nodes and files now. */
export async function refresh({ client, workspace, bench }: Parts, versions: VersionCheck, again: boolean): Promise<void> {
  const before = workspace.getState().types;
  if (again || before.size === 0) await loadTypes(client, workspace);
  bench.retype(before);
  try {
    if (await versions.isOutdated()) {
      notify(t("shell.newVersion"), { action: { label: t("shell.reload"), run: () => location.reload() } });
    }
  } catch {
    // the line is gone again; the next connection asks again
  }
}
