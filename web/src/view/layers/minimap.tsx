// The whole level, small: boxes on a canvas and the part in view. A press or a drag goes there.

import { useStoreApi } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { Point } from "../../model/document";
import { around, type Box } from "../../model/edit/size";
import { useDocumentStore, useWorkspaceStore } from "../../state/context";
import { useSetting } from "../../state/editor";
import { useController } from "../controller-context";
import { useRow, useViewStore } from "../context";
import { shapesOf, type Shape } from "../flow-nodes";
import { categoryHue } from "../look";
import { named } from "../names";

const WIDTH = 200;
const HEIGHT = 140;
const MARGIN = 8;

interface Scale {
  readonly box: Box;
  readonly by: number;
}

export function Minimap(): React.JSX.Element {
  const { t } = useTranslation();
  const canvas = useRef<HTMLCanvasElement>(null);
  const scale = useRef<Scale>(undefined);
  const controller = useController();
  const flow = useStoreApi();
  const documents = useDocumentStore();
  const workspace = useWorkspaceStore();
  const view = useViewStore();
  const theme = useSetting("theme");
  const row = useRow();
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context === null || context === undefined) return undefined;
    let frame = 0;
    const draw = (): void => {
      frame = 0;
      const { transform, width, height } = flow.getState();
      const [x, y, zoom] = transform;
      const shown: Box = { x: -x / zoom, y: -y / zoom, width: width / zoom, height: height / zoom };
      const { document, level, types, selection } = controller.shown();
      const { dragged, resized } = view.getState();
      const shapes = [...shapesOf({ document, level, types, selection, dragged, resized, row })];
      const hueOf = (shape: Shape): number => {
        const item = named(shape.id);
        const node = item.kind === "node" ? level.nodes.get(item.id) : undefined;
        return categoryHue(types.get(node?.type ?? "")?.category ?? "");
      };
      scale.current = paint(context, shapes, shown, hueOf);
    };
    const ask = (): void => {
      if (frame === 0) frame = requestAnimationFrame(draw);
    };
    const stops = [flow.subscribe(ask), documents.subscribe(ask), view.subscribe(ask), workspace.subscribe(ask)];
    draw();
    return () => {
      cancelAnimationFrame(frame);
      for (const stop of stops) stop();
    };
  }, [controller, flow, documents, workspace, view, theme, row]);
  const go = (event: React.PointerEvent<HTMLCanvasElement>): void => {
    if (scale.current === undefined || event.buttons !== 1) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    const { left, top } = event.currentTarget.getBoundingClientRect();
    controller.camera.centre(toGraph(scale.current, { x: event.clientX - left, y: event.clientY - top }));
  };
  const ratio = window.devicePixelRatio;
  return (
    <canvas
      ref={canvas}
      className="c-minimap c-over"
      width={WIDTH * ratio}
      height={HEIGHT * ratio}
      role="img"
      aria-label={t("view.minimap")}
      onPointerDown={go}
      onPointerMove={go}
    />
  );
}

const toGraph = ({ box, by }: Scale, at: Point): Point => ({
  x: box.x + box.width / 2 + (at.x - WIDTH / 2) / by,
  y: box.y + box.height / 2 + (at.y - HEIGHT / 2) / by,
});

function paint(context: CanvasRenderingContext2D, shapes: readonly Shape[], shown: Box, hueOf: (shape: Shape) => number): Scale {
  const look = getComputedStyle(document.documentElement);
  const color = (name: string): string => look.getPropertyValue(name).trim();
  const box = around([...shapes.map((shape) => ({ ...shape.at, ...shape.size })), shown]) ?? shown;
  const by = Math.min((WIDTH - 2 * MARGIN) / box.width, (HEIGHT - 2 * MARGIN) / box.height);
  const ratio = window.devicePixelRatio;
  const left = WIDTH / 2 - (box.x + box.width / 2) * by;
  const top = HEIGHT / 2 - (box.y + box.height / 2) * by;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, WIDTH, HEIGHT);
  const [lightness, accent] = [color("--type-lightness"), color("--accent")];
  for (const shape of shapes) {
    const { x, y } = shape.at;
    const { width, height } = shape.size;
    context.fillStyle = shape.selected ? accent : shape.type === "frame" ? color("--field") : `oklch(${lightness} 0.09 ${hueOf(shape)} / 0.7)`;
    context.fillRect(left + x * by, top + y * by, Math.max(1.5, width * by), Math.max(1.5, height * by));
  }
  context.strokeStyle = color("--text");
  context.lineWidth = 1;
  context.strokeRect(left + shown.x * by, top + shown.y * by, shown.width * by, shown.height * by);
  return { box, by };
}
