// Two pictures against each other: one over the other with a line between them to drag, or side by side at one zoom.

import { useState } from "react";
import { t } from "../../i18n";
import type { Zoom } from "../gallery/zoom";
import { Stage, zoomStyle } from "../gallery/stage";
import "./compare.css";

export interface CompareSide {
  readonly url: string;
  readonly name: string;
}

interface CompareViewProps {
  readonly before: CompareSide;
  readonly after: CompareSide;
  readonly mode: "slider" | "side";
  readonly zoom: Zoom;
  readonly setZoom: (change: (zoom: Zoom) => Zoom) => void;
}

export function CompareView({ before, after, mode, zoom, setZoom }: CompareViewProps): React.JSX.Element {
  if (mode === "slider") return <Slider {...{ before, after, zoom, setZoom }} />;
  return (
    <div className="compare-sides">
      {[before, after].map(({ url, name }, place) => (
        <figure key={place} className="compare-side">
          <Stage zoom={zoom} setZoom={setZoom}>
            <img className="stage-picture" src={url} alt={name} draggable={false} style={zoomStyle(zoom)} />
          </Stage>
          <figcaption>{`${place === 0 ? "A" : "B"} · ${name}`}</figcaption>
        </figure>
      ))}
    </div>
  );
}

/** Half the width of the range's thumb, which is the line itself; its middle never reaches the edge of the place. */
const HALF = 12;

function Slider({ before, after, zoom, setZoom }: Omit<CompareViewProps, "mode">): React.JSX.Element {
  const [part, setPart] = useState(50);
  const line = `calc(${HALF}px + (100% - ${2 * HALF}px) * ${part / 100})`;
  return (
    <div className="compare-slider">
      <Stage zoom={zoom} setZoom={setZoom}>
        <img className="stage-picture" src={before.url} alt={before.name} draggable={false} style={zoomStyle(zoom)} />
        <div className="compare-over" style={{ clipPath: `inset(0 0 0 ${line})` }}>
          <img className="stage-picture" src={after.url} alt={after.name} draggable={false} style={zoomStyle(zoom)} />
        </div>
      </Stage>
      <input
        className="compare-line"
        type="range"
        min={0}
        max={100}
        step={0.5}
        value={part}
        aria-label={t("compare.line")}
        aria-valuetext={t("compare.part", { part: Math.round(part) })}
        onChange={(event) => setPart(event.currentTarget.valueAsNumber)}
      />
      <span className="compare-name" data-side="before">{`A · ${before.name}`}</span>
      <span className="compare-name" data-side="after">{`B · ${after.name}`}</span>
    </div>
  );
}
