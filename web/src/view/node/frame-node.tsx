// A frame: a tinted area under the nodes. Its head moves it with what lies in it; the area itself is empty ground.

import { Ban, Expand, VolumeOff } from "lucide-react";
import type { NodeProps } from "@xyflow/react";
import { memo, type CSSProperties } from "react";
import type { Frame } from "../../model/document";
import { FRAME_HEAD, fitFrame, patchFrame, toggleFrameMode } from "../../model/edit/frames";
import { ROOT, type FrameId } from "../../model/ids";
import { useDocument } from "../../state/context";
import { t } from "../../i18n";
import { useController } from "../controller-context";
import { useFar, useView } from "../context";
import { flowId, named } from "../names";
import { Grip } from "./resize-grip";

export const FrameView = memo(function FrameView({ id }: NodeProps): React.JSX.Element | null {
  const own = named(id).id as FrameId;
  const frame = useDocument((state) => state.document.levels.get(state.path.at(-1) ?? ROOT)?.frames.get(own));
  return frame === undefined ? null : <Shown frame={frame} />;
}, (before, after) => before.id === after.id);

const tint = (frame: Frame): CSSProperties =>
  ({ "--tint": frame.color !== undefined && CSS.supports("color", frame.color) ? frame.color : "var(--muted)" }) as CSSProperties;

function Shown({ frame }: { readonly frame: Frame }): React.JSX.Element {
  const controller = useController();
  const isFar = useFar();
  const isRenaming = useView((view) => view.renaming === flowId.frame(frame.id));
  const { set } = controller.view.getState();
  const rename = (title: string): void => {
    set({ renaming: undefined });
    if (title !== frame.title) controller.edit(patchFrame(controller.shown().level, frame.id, { title }), "frame");
  };
  return (
    <div className={`n-frame ${isFar ? "is-far" : ""}`} style={tint(frame)}>
      <div className="n-frame-head" onDoubleClick={(event) => {
          event.stopPropagation();
          set({ renaming: flowId.frame(frame.id) });
        }}>
        {isRenaming ? (
          <input
            className="n-title-field nodrag nopan"
            aria-label={t("view.frame.title")}
            defaultValue={frame.title}
            autoFocus
            onFocus={(event) => event.currentTarget.select()}
            onBlur={(event) => rename(event.currentTarget.value)}
            onKeyDown={(event) => {
              event.stopPropagation();
              if (event.key === "Escape") event.currentTarget.value = frame.title;
              if (event.key === "Enter" || event.key === "Escape") event.currentTarget.blur();
            }}
          />
        ) : (
          <span className="n-frame-title">{frame.title}</span>
        )}
        {!isFar && <Switches frame={frame} />}
      </div>
      {!isFar && (
        <Grip
          id={flowId.frame(frame.id)}
          size={frame.size}
          least={{ width: 120, height: FRAME_HEAD + 32 }}
          controller={controller}
          done={(size) => controller.edit(patchFrame(controller.shown().level, frame.id, { size }), "resize")}
        />
      )}
    </div>
  );
}

function Switches({ frame }: { readonly frame: Frame }): React.JSX.Element {
  const controller = useController();
  const toggle = (mode: "mute" | "bypass"): void => {
    const { document, level, types } = controller.shown();
    controller.edit(toggleFrameMode(document, level, frame.id, mode, types), mode);
  };
  const fit = (): void => {
    const { document, level, types } = controller.shown();
    controller.edit(fitFrame(document, level, frame.id, types), "resize");
  };
  const button = (label: string, icon: React.ReactNode, run: () => void): React.JSX.Element => (
    <button type="button" tabIndex={-1} className="n-tool nodrag" aria-label={label} title={label} onClick={run} onDoubleClick={(event) => event.stopPropagation()}>
      {icon}
    </button>
  );
  return (
    <span className="n-frame-tools">
      {button(t("view.frame.mute"), <VolumeOff size={13} aria-hidden />, () => toggle("mute"))}
      {button(t("view.frame.bypass"), <Ban size={13} aria-hidden />, () => toggle("bypass"))}
      {button(t("view.frame.fit"), <Expand size={13} aria-hidden />, fit)}
    </span>
  );
}
