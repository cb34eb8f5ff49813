// Show a node: its level, selected.

import type { LevelId, NodeId } from "../../model/ids";
import { NOTHING_SELECTED } from "../../state/documents";
import type { Tab } from "../../state/workspace";

export function jumpTo(tab: Tab, path: readonly LevelId[], node: NodeId): void {
  tab.document.setState({ path: [...path], selection: { ...NOTHING_SELECTED, nodes: new Set([node]) } });
}
