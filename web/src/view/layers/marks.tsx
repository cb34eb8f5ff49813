// Passing marks in the graph: the box that selects, and where originals stay while copies are dragged.

import { boxOf } from "../../model/edit/size";
import { useController } from "../controller-context";
import { useView } from "../context";
import { named } from "../names";

export function Marquee(): React.JSX.Element | null {
  const box = useView((view) => view.marquee);
  if (box === undefined) return null;
  const { x, y, width, height } = box;
  return <div className="c-marquee" style={{ transform: `translate(${x}px, ${y}px)`, width, height }} />;
}

export function Ghosts(): React.JSX.Element | null {
  const controller = useController();
  const ghosts = useView((view) => view.ghosts);
  if (ghosts.size === 0) return null;
  const { document, level, types } = controller.shown();
  return (
    <>
      {[...ghosts].map((id) => {
        const item = named(id);
        const node = item.kind === "node" ? level.nodes.get(item.id) : undefined;
        if (node === undefined) return null;
        const { x, y, width, height } = boxOf(document, node, types);
        return <div key={id} className="c-ghost" style={{ transform: `translate(${x}px, ${y}px)`, width, height }} />;
      })}
    </>
  );
}
