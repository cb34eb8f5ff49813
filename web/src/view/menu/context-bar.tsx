// A bar at the selection with what is done most. It hides while something moves.

import { useStore } from "@xyflow/react";
import { Ban, Boxes, Frame, Group, MoreHorizontal, Play, Trash2, VolumeOff } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useDocument } from "../../state/context";
import { useController } from "../controller-context";
import { useCommands } from "../commands-context";
import { useView } from "../context";

export function ContextBar(): React.JSX.Element | null {
  const count = useDocument((state) => state.selection.nodes.size + state.selection.frames.size);
  const isQuiet = useView((view) => view.busy || view.marquee !== undefined || view.connecting !== undefined || view.menu !== undefined || view.search !== undefined || view.resized.size > 0);
  return count === 0 || isQuiet ? null : <Bar />;
}

function Bar(): React.JSX.Element | null {
  const { t } = useTranslation();
  const controller = useController();
  const commands = useCommands();
  const document = useDocument((state) => state.document);
  const selection = useDocument((state) => state.selection);
  const place = useStore(({ transform: [x, y, zoom], width, height }) => {
    const box = controller.boxOf("selection");
    if (box === undefined) return undefined;
    const [left, right] = [box.x * zoom + x, (box.x + box.width) * zoom + x];
    const [top, bottom] = [box.y * zoom + y, (box.y + box.height) * zoom + y];
    if (right < 0 || left > width || bottom < 0 || top > height) return undefined;
    const middle = Math.max(120, Math.min(width - 120, (left + right) / 2));
    return `${Math.round(middle)} ${Math.round(top < 52 ? Math.min(height - 48, bottom + 10) : top - 46)}`;
  });
  if (place === undefined || document === undefined) return null;
  const [x, y] = place.split(" ").map(Number);
  const button = (label: string, icon: ReactNode, run: () => void, keys = ""): React.JSX.Element => (
    <button type="button" title={keys === "" ? label : `${label} (${keys})`} aria-label={label} onClick={run}>
      {icon}
    </button>
  );
  const command = (id: string, icon: ReactNode): React.JSX.Element => button(t(`command.${id}`), icon, () => commands.act(id), commands.keys(id));
  const hasNodes = selection.nodes.size > 0;
  return (
    <div className="c-bar c-over" role="toolbar" aria-label={t("view.bar")} style={{ transform: `translate(-50%, 0) translate(${x}px, ${y}px)` }}>
      {hasNodes && (
        <>
          {command("node.run", <Play size={14} aria-hidden />)}
          {command("node.bypass", <Ban size={14} aria-hidden />)}
          {command("node.mute", <VolumeOff size={14} aria-hidden />)}
          <i />
          {command("structure.frame", <Frame size={14} aria-hidden />)}
          {button(t("view.menu.subgraph"), <Boxes size={14} aria-hidden />, () => controller.makeSubgraph(selection.nodes))}
          {selection.nodes.size > 1 && commands.can("structure.arrange") && command("structure.arrange", <Group size={14} aria-hidden />)}
          <i />
        </>
      )}
      {command("edit.delete", <Trash2 size={14} aria-hidden />)}
      {hasNodes && (
        <button
          type="button"
          title={t("view.bar.more")}
          aria-label={t("view.bar.more")}
          onClick={(event) => {
            const [id] = selection.nodes;
            const { left, bottom } = event.currentTarget.getBoundingClientRect();
            if (id !== undefined) controller.openMenu({ x: left, y: bottom + 4 }, { kind: "node", id });
          }}
        >
          <MoreHorizontal size={14} aria-hidden />
        </button>
      )}
    </div>
  );
}
