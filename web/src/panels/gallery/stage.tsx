// The place of a picture in the lightbox: the wheel zooms at the pointer, dragging moves, a double click goes to full size and back.

import { useEffect, useRef, useState, type CSSProperties, type PointerEvent, type ReactNode } from "react";
import type { Zoom } from "./zoom";
import { FITTED, kept, panBy, zoomAt } from "./zoom";

interface StageProps {
  readonly zoom: Zoom;
  readonly setZoom: (change: (zoom: Zoom) => Zoom) => void;
  readonly children: ReactNode;
}

const STEP = 1.0015;
const CLOSE_UP = 3;

export function Stage({ zoom, setZoom, children }: StageProps): React.JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [grabbed, setGrabbed] = useState(false);

  // React listens to the wheel passively, and then the page would scroll or zoom as well.
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const turned = (event: WheelEvent): void => {
      event.preventDefault();
      const { x, y } = fromMiddle(element, event);
      setZoom((before) => within(element, zoomAt(before, STEP ** -event.deltaY, x, y)));
    };
    element.addEventListener("wheel", turned, { passive: false });
    return () => element.removeEventListener("wheel", turned);
  }, [setZoom]);

  const move = (event: PointerEvent<HTMLDivElement>): void => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const element = event.currentTarget;
    setZoom((before) => within(element, panBy(before, event.movementX, event.movementY)));
  };
  return (
    <div
      ref={place}
      className="stage-view"
      data-zoomed={zoom.scale > 1 || undefined}
      data-grabbed={grabbed || undefined}
      onPointerDown={(event) => {
        if (event.button !== 0 || event.target instanceof HTMLInputElement) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        setGrabbed(true);
      }}
      onPointerMove={move}
      onPointerUp={() => setGrabbed(false)}
      onPointerCancel={() => setGrabbed(false)}
      onDoubleClick={(event) => {
        const { x, y } = fromMiddle(event.currentTarget, event);
        setZoom((before) => (before.scale > 1 ? FITTED : zoomAt(before, CLOSE_UP, x, y)));
      }}
    >
      {children}
    </div>
  );
}

/** How a picture is drawn at a zoom; large pixels stay sharp. */
export const zoomStyle = ({ scale, x, y }: Zoom): CSSProperties => ({
  transform: `translate(${x}px, ${y}px) scale(${scale})`,
  imageRendering: scale >= 4 ? "pixelated" : "auto",
});

function fromMiddle(element: Element, at: { readonly clientX: number; readonly clientY: number }): { x: number; y: number } {
  const { left, top, width, height } = element.getBoundingClientRect();
  return { x: at.clientX - left - width / 2, y: at.clientY - top - height / 2 };
}

const within = (element: Element, zoom: Zoom): Zoom => kept(zoom, element.clientWidth, element.clientHeight);
