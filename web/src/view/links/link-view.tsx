// One link: a quiet line in its type's colour, with a wide unseen one around it to be hit.

import { memo, type CSSProperties } from "react";
import type { Level, Link } from "../../model/document";
import { carried } from "../../model/edit/links";
import { addReroute, wayOf } from "../../model/edit/reroutes";
import { ROOT, type LinkId } from "../../model/ids";
import { t } from "../../i18n";
import { useDocument, useRuns, useWorkspace } from "../../state/context";
import type { DocumentState } from "../../state/documents";
import { useSetting } from "../../state/editor";
import { useController } from "../controller-context";
import { PrefixContext, useView } from "../context";
import { typeColor } from "../look";
import { isEnd, middleOf, pathOf, pointsOf, stubsOf, type LinkStyle } from "./geometry";
import { relationOf, useScene } from "./scene";
import { useContext } from "react";

export const linkIn = (state: DocumentState, id: LinkId): { level: Level; link: Link } | undefined => {
  const level = state.document.levels.get(state.path.at(-1) ?? ROOT);
  const link = level?.links.get(id);
  return level === undefined || link === undefined ? undefined : { level, link };
};

export const isHidden = (link: Link): boolean => link.rest?.["hidden"] === true;

export const LinkView = memo(function LinkView({ id }: { readonly id: LinkId }): React.JSX.Element | null {
  const style = useSetting("linkStyle");
  const drawn: LinkStyle = style === "hidden" ? "spline" : style;
  const path = useScene((scene) => {
    const link = scene.level.links.get(id);
    const points = link === undefined ? undefined : pointsOf(scene, link);
    return points === undefined ? undefined : pathOf(points, drawn);
  });
  const type = useCarried(id);
  const hidden = useDocument((state) => isHidden(linkIn(state, id)?.link ?? NONE)) || style === "hidden";
  const stubs = useScene((scene) => {
    const link = hidden ? scene.level.links.get(id) : undefined;
    const points = link === undefined ? undefined : pointsOf(scene, link);
    return points === undefined ? undefined : stubsOf(points);
  });
  const looks = useLook(id);
  if (path === undefined || type === undefined) return null;
  const color = { "--type": typeColor(type) } as CSSProperties;
  return (
    <g className={`l-link ${looks} ${hidden ? "is-hidden" : ""}`} style={color} data-link={id}>
      <path className="l-line" d={path} />
      {stubs !== undefined && <path className="l-stub" d={stubs} />}
      <Hit id={id} path={path} style={drawn} />
    </g>
  );
});

function useCarried(id: LinkId): string | undefined {
  const types = useWorkspace((state) => state.types);
  return useDocument((state) => {
    const found = linkIn(state, id);
    return found === undefined ? undefined : carried(state.document, found.level, found.link, types);
  });
}

const NONE = { rest: {} } as unknown as Link;

/** How a link stands to what is selected, hovered, dragged and running, as class names. */
function useLook(id: LinkId): string {
  const controller = useController();
  const selected = useDocument((state) => {
    const found = linkIn(state, id);
    if (found === undefined) return "";
    if (state.selection.links.has(id)) return "is-selected";
    const { from, to } = found.link;
    return state.selection.nodes.has(from.node) || state.selection.nodes.has(to.node) ? "is-touched" : "";
  });
  const hovered = useView((view) => {
    if (view.insertInto === id) return "is-insert";
    if (view.connecting?.moves === id) return "is-moved";
    const found = view.hovered === undefined ? undefined : linkIn(controller.documents.getState(), id);
    return found === undefined || view.hovered === undefined ? "" : `is-${relationOf(found.level, found.link, view.hovered)}`;
  });
  const prefix = useContext(PrefixContext);
  const target = useDocument((state) => linkIn(state, id)?.link.to.node);
  const runs = useRuns((state) => target !== undefined && state.nodes[prefix + target]?.state === "running");
  return `${selected} ${hovered} ${runs ? "is-running" : ""}`;
}

interface HitProps {
  readonly id: LinkId;
  readonly path: string;
  readonly style: LinkStyle;
}

function Hit({ id, path, style }: HitProps): React.JSX.Element {
  const controller = useController();
  const types = useWorkspace((state) => state.types);
  const { view } = controller;
  const name = useDocument((state) => {
    const found = linkIn(state, id);
    if (found === undefined) return "";
    const title = (node: Link["from"]["node"]): string => {
      if (isEnd(node)) return t("view.end.title");
      const item = found.level.nodes.get(node);
      return item?.title ?? types.get(item?.type ?? "")?.title ?? item?.type ?? node;
    };
    return t("view.link.name", { type: carried(state.document, found.level, found.link, types), from: title(found.link.from.node), to: title(found.link.to.node) });
  });
  const isActive = useView((state) => state.hovered?.kind === "link" && state.hovered.id === id);
  const hover = (on: boolean): void => view.getState().set({ hovered: on ? { kind: "link", id } : undefined });
  const bend = (screen: { x: number; y: number }): void => {
    const { document, level } = controller.shown();
    const link = level.links.get(id);
    if (link === undefined) return;
    const point = controller.camera.toGraph(screen);
    const way = wayOf(level, link);
    const place = way.filter((each) => each.position.x < point.x).length;
    controller.edit(addReroute(document, level, id, place, { x: Math.round(point.x), y: Math.round(point.y) }), "reroute");
  };
  return (
    <>
      <path
        className="l-hit nopan"
        d={path}
        role="button"
        tabIndex={-1}
        aria-label={name}
        onPointerEnter={(event) => event.buttons === 0 && view.getState().connecting === undefined && hover(true)}
        onPointerLeave={() => isActive && hover(false)}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.stopPropagation();
          const { selection } = controller.shown();
          if (event.shiftKey) controller.select({ ...selection, links: new Set([...selection.links, id]) });
          else controller.select({ links: new Set([id]) });
        }}
        onDoubleClick={(event) => {
          event.stopPropagation();
          bend({ x: event.clientX, y: event.clientY });
        }}
      />
      {isActive && <Middle id={id} style={style} open={(screen) => controller.openMenu(screen, { kind: "link", id })} />}
    </>
  );
}

/** The point in the middle of a hovered link: its menu. */
function Middle({ id, style, open }: { readonly id: LinkId; readonly style: LinkStyle; readonly open: (screen: { x: number; y: number }) => void }): React.JSX.Element | null {
  const place = useScene((scene) => {
    const link = scene.level.links.get(id);
    const points = link === undefined ? undefined : pointsOf(scene, link);
    if (points === undefined) return undefined;
    const { x, y } = middleOf(points, style);
    return `${Math.round(x)},${Math.round(y)}`;
  });
  if (place === undefined) return null;
  const [x, y] = place.split(",").map(Number);
  return (
    <circle
      className="l-middle"
      cx={x}
      cy={y}
      r={5}
      onPointerDown={(event) => {
        event.stopPropagation();
        open({ x: event.clientX, y: event.clientY });
      }}
    />
  );
}
