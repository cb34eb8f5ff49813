// The corner by which a node or a frame is made larger. The document hears of it once, when it is let go.

import type { Node, Size } from "../../model/document";
import { resize, resizeGesture } from "../../model/edit/nodes";
import { MIN_WIDTH, SNAP } from "../../model/edit/size";
import { t } from "../../i18n";
import { useController } from "../controller-context";
import type { Controller } from "../controller";
import { flowId } from "../names";

export function ResizeGrip({ node }: { readonly node: Node }): React.JSX.Element {
  const controller = useController();
  const done = (size: Size): void => controller.edit(resize(controller.shown().level, node.id, size), "resize", resizeGesture(node.id));
  return <Grip id={flowId.node(node.id)} size={node.size} least={{ width: MIN_WIDTH, height: 28 }} controller={controller} done={done} />;
}

interface GripProps {
  readonly id: string;
  readonly size: Size;
  readonly least: Size;
  readonly controller: Controller;
  readonly done: (size: Size) => void;
}

export function Grip({ id, size, least, controller, done }: GripProps): React.JSX.Element {
  const start = (event: React.PointerEvent<HTMLElement>): void => {
    if (event.button !== 0) return;
    event.stopPropagation();
    event.preventDefault();
    const drawn = event.currentTarget.parentElement?.getBoundingClientRect();
    const from = controller.camera.toGraph({ x: event.clientX, y: event.clientY });
    const corner = controller.camera.toGraph({ x: drawn?.left ?? 0, y: drawn?.top ?? 0 });
    const opposite = controller.camera.toGraph({ x: drawn?.right ?? 0, y: drawn?.bottom ?? 0 });
    const begun = drawn === undefined ? size : { width: opposite.x - corner.x, height: opposite.y - corner.y };
    const stop = new AbortController();
    let now: Size | undefined;
    const { set } = controller.view.getState();
    window.addEventListener(
      "pointermove",
      (moved) => {
        const to = controller.camera.toGraph({ x: moved.clientX, y: moved.clientY });
        const snap = (value: number): number => Math.round(value / SNAP) * SNAP;
        now = { width: Math.max(least.width, snap(begun.width + to.x - from.x)), height: Math.max(least.height, snap(begun.height + to.y - from.y)) };
        set({ resized: new Map([[id, now]]) });
      },
      { signal: stop.signal },
    );
    const end = (): void => {
      stop.abort();
      set({ resized: new Map() });
      if (now !== undefined) done(now);
    };
    window.addEventListener("pointerup", end, { signal: stop.signal });
    window.addEventListener("pointercancel", end, { signal: stop.signal });
  };
  return <div className="n-grip nodrag nopan" title={t("view.node.resize")} onPointerDown={start} />;
}
