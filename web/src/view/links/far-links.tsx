// Links from far away: one canvas, one stroke for each colour. The paths are kept; panning only strokes them again.
// The canvas lies above the nodes and leaves their boxes free. Below them it would be a layer of its own under a thousand
// transformed elements, which the browser then sorts into layers anew in every frame: 90 ms with 1,000 nodes.

import { useStoreApi } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { carried } from "../../model/edit/links";
import type { Box } from "../../model/edit/size";
import { useDocumentStore, useWorkspaceStore } from "../../state/context";
import { useSetting } from "../../state/editor";
import { NOTHING_SELECTED } from "../../state/documents";
import { useRow, useViewStore } from "../context";
import { shapesOf } from "../flow-nodes";
import { typeColorIn } from "../look";
import { curvesOf, pointsOf, type LinkStyle, type Scene } from "./geometry";
import { isHidden } from "./link-view";
import { sceneOf } from "./scene";

export function FarLinks(): React.JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const flow = useStoreApi();
  const documents = useDocumentStore();
  const view = useViewStore();
  const workspace = useWorkspaceStore();
  const row = useRow();
  const style = useSetting("linkStyle");
  const theme = useSetting("theme");
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (element === null || element === undefined || context === null || context === undefined) return undefined;
    let strokes: readonly Stroke[] = [];
    let boxes: readonly Box[] = [];
    let drawn: readonly unknown[] = [];
    let frame = 0;
    const draw = (): void => {
      frame = 0;
      const scene = sceneOf(documents, view, workspace.getState().types, row);
      if (scene === undefined) return;
      const now = [scene.level, scene.dragged, scene.anchors];
      if (drawn.length === 0 || now.some((each, place) => each !== drawn[place])) {
        strokes = strokesOf(scene, style);
        boxes = boxesOf(scene);
        drawn = now;
      }
      const { transform, width, height } = flow.getState();
      const ratio = window.devicePixelRatio;
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (element.width !== w) element.width = w;
      if (element.height !== h) element.height = h;
      const [x, y, zoom] = transform;
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, w, h);
      context.setTransform(zoom * ratio, 0, 0, zoom * ratio, x * ratio, y * ratio);
      context.lineWidth = Math.max(2, 0.9 / zoom);
      for (const { color, path } of strokes) {
        context.strokeStyle = color;
        context.stroke(path);
      }
      for (const box of boxes) context.clearRect(box.x, box.y, box.width, box.height);
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
  }, [flow, documents, view, workspace, row, style, theme]);
  return <canvas ref={canvas} className="l-far" aria-hidden />;
}

function boxesOf(scene: Scene): Box[] {
  const stage = { ...scene, selection: NOTHING_SELECTED };
  return [...shapesOf(stage)].filter((shape) => shape.type !== "frame").map(({ at, size }) => ({ ...at, ...size }));
}

interface Stroke {
  readonly color: string;
  readonly path: Path2D;
}

function strokesOf(scene: Scene, style: LinkStyle): Stroke[] {
  const look = getComputedStyle(document.documentElement);
  const [lightness, chroma] = [look.getPropertyValue("--type-lightness").trim(), look.getPropertyValue("--type-chroma").trim()];
  const paths = new Map<string, Path2D>();
  if (style === "hidden") return [];
  for (const link of scene.level.links.values()) {
    const points = isHidden(link) ? undefined : pointsOf(scene, link);
    if (points === undefined) continue;
    const color = typeColorIn(carried(scene.document, scene.level, link, scene.types), lightness, chroma, 0.6);
    const path = paths.get(color) ?? new Path2D();
    paths.set(color, path);
    for (const { from, out, into, to } of curvesOf(points, style === "straight" ? "straight" : "spline")) {
      path.moveTo(from.x, from.y);
      path.bezierCurveTo(out.x, out.y, into.x, into.y, to.x, to.y);
    }
  }
  return [...paths].map(([color, path]) => ({ color, path }));
}
