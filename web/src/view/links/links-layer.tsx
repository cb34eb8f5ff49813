// All links that can be seen, below the nodes. From far away they are strokes on a canvas instead.

import { memo, type CSSProperties } from "react";
import type { Box } from "../../model/edit/size";
import type { LinkId } from "../../model/ids";
import { useSetting } from "../../state/editor";
import { useView } from "../context";
import { typeColor } from "../look";
import { NamedLines } from "./extra-lines";
import { endPoint, pathOf } from "./geometry";
import { LinkView } from "./link-view";
import { linksIn, useScene } from "./scene";
import "./links.css";

export const LinksLayer = memo(function LinksLayer({ region }: { readonly region: Box }): React.JSX.Element {
  const ids = useScene((scene) => linksIn(scene, region)) ?? "";
  const isFaded = useView((view) => view.hovered !== undefined && view.connecting === undefined);
  return (
    <svg className={`l-layer ${isFaded ? "is-faded" : ""}`}>
      {ids !== "" && ids.split(" ").map((id) => <LinkView key={id} id={id as LinkId} />)}
      <NamedLines />
      <Cut />
    </svg>
  );
});

/** The link that is being drawn, above everything. */
export function ConnectingLine(): React.JSX.Element | null {
  const connecting = useView((view) => view.connecting);
  const pointer = useView((view) => view.pointer);
  const style = useSetting("linkStyle");
  const start = useScene((scene) => {
    const point = connecting === undefined ? undefined : endPoint(scene, connecting.end, connecting.side);
    return point === undefined ? undefined : `${point.x},${point.y}`;
  });
  if (connecting === undefined || pointer === undefined || start === undefined) return null;
  const [x = 0, y = 0] = start.split(",").map(Number);
  const points = connecting.side === "output" ? [{ x, y }, pointer] : [pointer, { x, y }];
  const color = { "--type": typeColor(connecting.type) } as CSSProperties;
  return (
    <svg className="l-layer is-above" style={color}>
      <path className="l-connecting" d={pathOf(points, style === "hidden" ? "spline" : style)} />
      <circle className="l-loose" cx={pointer.x} cy={pointer.y} r={4} />
    </svg>
  );
}

function Cut(): React.JSX.Element | null {
  const cut = useView((view) => view.cut);
  if (cut === undefined) return null;
  return <polyline className="l-cut" points={cut.map(({ x, y }) => `${x},${y}`).join(" ")} />;
}
