// A node as it is seen from near.

import { Ban, Check, Clock3, Pin, Play, TriangleAlert, Workflow } from "lucide-react";
import { memo, useLayoutEffect, useRef, type CSSProperties } from "react";
import type { Node } from "../../model/document";
import { VIRTUAL } from "../../model/formats/workflow/layouts";
import type { Slots } from "../../model/edit/slots";
import { shownType } from "../../model/edit/shown-type";
import { toggleFlag, toggleMode } from "../../model/edit/nodes";
import { useErrorsOf, useRunOf, useWorkspace } from "../../state/context";
import type { NodeError, NodeRun } from "../../state/runs";
import { NodeWidgets } from "../../widgets";
import { t } from "../../i18n";
import { useCommands } from "../commands-context";
import { useController } from "../controller-context";
import { useServerId, useView, useViewStore } from "../context";
import { PassThrough } from "../links/extra-lines";
import { flowId } from "../names";
import { setAnchors, setHeight } from "../view-store";
import { Dot } from "./dot";
import { Preview } from "./preview";
import { ResizeGrip } from "./resize-grip";
import { useLevelId, useSlots, type Kind } from "./use-node";
import "./node.css";
import "./dots.css";
import "./states.css";
import "./others.css";
import "./note.css";

interface NearProps {
  readonly node: Node;
  readonly kind: Kind;
  readonly style: CSSProperties;
}

export const NearNode = memo(function NearNode({ node, kind, style }: NearProps): React.JSX.Element {
  const slots = useSlots(node.id);
  const serverId = useServerId(node.id);
  const run = useRunOf(serverId);
  const errors = useErrorsOf(serverId);
  const over = useView((view) => view.over === `n:${node.id}` && view.connecting?.nodes.has(node.id) === true);
  if (node.type === "Reroute") return <OldReroute node={node} slots={slots} style={style} />;
  const isMissing = kind.type === undefined && kind.subgraph === undefined && !VIRTUAL.has(node.type);
  const state = errors.length > 0 ? "error" : (run?.state ?? "idle");
  const own = errors.filter((error) => error.input === undefined || !slots.widgets.some((slot) => slot.name === error.input));
  return (
    <div className={`n-node is-${node.mode} run-${state} ${node.collapsed ? "is-collapsed" : ""} ${isMissing ? "is-missing" : ""} ${over ? "is-target" : ""}`} style={style}>
      <Header node={node} kind={kind} serverId={serverId} />
      {node.collapsed ? <Stubs node={node} slots={slots} /> : <Body node={node} slots={slots} serverId={serverId} isMissing={isMissing} errors={own} />}
      {node.mode === "bypass" && <PassThrough id={node.id} />}
      {!node.collapsed && !node.pinned && <ResizeGrip node={node} />}
    </div>
  );
});

interface HeaderProps {
  readonly node: Node;
  readonly kind: Kind;
  readonly serverId: string;
}

function Header({ node, kind, serverId }: HeaderProps): React.JSX.Element {
  const controller = useController();
  const run = useRunOf(serverId);
  const isRenaming = useView((view) => view.renaming === node.id);
  const set = controller.view.getState().set;
  const { type } = kind;
  return (
    <div
      className="n-head"
      title={type?.description === "" ? undefined : type?.description}
      onDoubleClick={(event) => {
        event.stopPropagation();
        if (!controller.enter(node.id)) set({ renaming: node.id });
      }}
    >
      <button
        type="button"
        tabIndex={-1}
        className="n-fold nodrag"
        aria-label={t(node.collapsed ? "view.node.expand" : "view.node.collapse")}
        aria-expanded={!node.collapsed}
        onClick={() => controller.edit(toggleFlag(controller.shown().level, [node.id], "collapsed"), "collapse")}
      />
      {isRenaming ? <TitleField node={node} title={kind.title} /> : <span className="n-title">{kind.title}</span>}
      <Badges node={node} kind={kind} />
      <RunMark state={run?.state} seconds={run?.seconds} />
      <HoverButtons id={node.id} />
      {run?.state === "running" && <Progress run={run} title={kind.title} />}
    </div>
  );
}

/** How far the node is: a thin line under its title. */
function Progress({ run, title }: { readonly run: NodeRun; readonly title: string }): React.JSX.Element {
  const share = run.max === undefined || run.max === 0 ? undefined : (run.value ?? 0) / run.max;
  return (
    <div
      className={`n-progress ${share === undefined ? "is-open" : ""}`}
      role="progressbar"
      aria-label={t("view.node.progress", { title })}
      aria-valuenow={share === undefined ? undefined : Math.round(share * 100)}
      style={share === undefined ? undefined : { transform: `scaleX(${share})` }}
    />
  );
}

/** Run up to this node, or go around it; only while the pointer is on the node. */
function HoverButtons({ id }: { readonly id: Node["id"] }): React.JSX.Element | null {
  const controller = useController();
  const commands = useCommands();
  const isHovered = useView((view) => view.hovered?.kind === "node" && view.hovered.id === id && !view.busy);
  if (!isHovered) return null;
  const button = (label: string, icon: React.ReactNode, run: () => void): React.JSX.Element => (
    <button type="button" tabIndex={-1} className="n-tool nodrag" title={label} aria-label={label} onDoubleClick={(event) => event.stopPropagation()} onClick={(event) => {
      event.stopPropagation();
      run();
    }}>
      {icon}
    </button>
  );
  return (
    <span className="n-hover">
      {button(t("view.node.run"), <Play size={12} aria-hidden />, () => {
        controller.select({ nodes: new Set([id]) });
        commands.act("node.run");
      })}
      {button(t("view.node.toggleBypass"), <Ban size={12} aria-hidden />, () => controller.edit(toggleMode(controller.shown().level, [id], "bypass"), "bypass"))}
    </span>
  );
}

function TitleField({ node, title }: { readonly node: Node; readonly title: string }): React.JSX.Element {
  const controller = useController();
  const close = (): void => controller.view.getState().set({ renaming: undefined });
  const keep = (text: string): void => {
    if (text !== title) controller.rename(node.id, text);
    close();
  };
  return (
    <input
      className="n-title-field nodrag nopan"
      aria-label={t("view.node.title")}
      defaultValue={title}
      autoFocus
      onFocus={(event) => event.currentTarget.select()}
      onBlur={(event) => keep(event.currentTarget.value)}
      onDoubleClick={(event) => event.stopPropagation()}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") keep(event.currentTarget.value);
        if (event.key === "Escape") close();
      }}
    />
  );
}

function Badges({ node, kind }: { readonly node: Node; readonly kind: Kind }): React.JSX.Element {
  const controller = useController();
  return (
    <>
      {kind.type?.experimental === true && <span className="n-badge">{t("view.node.experimental")}</span>}
      {kind.type?.deprecated === true && <span className="n-badge is-warn">{t("view.node.deprecated")}</span>}
      {node.mode !== "normal" && <span className={`n-badge is-${node.mode}`}>{t(`view.node.${node.mode}`)}</span>}
      {node.pinned && <Pin size={12} aria-label={t("view.node.pinned")} />}
      {kind.subgraph !== undefined && (
        <button type="button" tabIndex={-1} className="n-enter nodrag" title={t("view.node.enter")} aria-label={t("view.node.enter")} onClick={() => controller.enter(node.id)}>
          <Workflow size={13} aria-hidden />
        </button>
      )}
    </>
  );
}

function RunMark({ state, seconds }: { readonly state: string | undefined; readonly seconds: number | undefined }): React.JSX.Element | null {
  if (state === "cached") return <Check className="n-mark" size={13} aria-label={t("view.run.cached")} />;
  if (state === "waiting") return <Clock3 className="n-mark" size={12} aria-label={t("view.run.waiting")} />;
  if (state === "done" && seconds !== undefined) return <span className="n-mark">{t("view.run.seconds", { seconds: seconds.toFixed(seconds < 10 ? 1 : 0) })}</span>;
  return null;
}

interface BodyProps {
  readonly node: Node;
  readonly slots: Slots;
  readonly serverId: string;
  readonly isMissing: boolean;
  readonly errors: readonly NodeError[];
}

function Body({ node, slots, serverId, isMissing, errors }: BodyProps): React.JSX.Element {
  const level = useLevelId();
  const body = useAnchors(node, slots);
  const type = useWorkspace((state) => shownType(node, slots, state.types));
  const rows = Math.max(slots.inputs.length, slots.outputs.length);
  return (
    <div className="n-body" ref={body}>
      {Array.from({ length: rows }, (_, place) => (
        <SlotRow key={place} node={node} slots={slots} place={place} errors={errors} />
      ))}
      {isMissing && (
        <p className="n-missing">
          <TriangleAlert size={14} aria-hidden />
          {t("view.node.missing", { type: node.type })}
        </p>
      )}
      <NodeWidgets
        level={level}
        node={node.id}
        type={type}
        serverId={serverId}
        socket={(input) => {
          const slot = slots.widgets.find((each) => each.name === input.name);
          return slot === undefined || slot.unlinkable === true ? null : <Dot node={node.id} side="input" slot={slot} />;
        }}
      />
      {isMissing && slots.widgets.map((slot) => (
        <div className="n-row" key={slot.name}>
          <Dot node={node.id} side="input" slot={slot} />
          <span className="n-label">{slot.label}</span>
        </div>
      ))}
      {errors.map((error, place) => (
        <p className="n-error" key={place} role="alert" title={error.details}>
          {error.message}
        </p>
      ))}
      <Preview serverId={serverId} />
    </div>
  );
}

interface SlotRowProps {
  readonly node: Node;
  readonly slots: Slots;
  readonly place: number;
  readonly errors: readonly NodeError[];
}

function SlotRow({ node, slots, place, errors }: SlotRowProps): React.JSX.Element {
  const [input, output] = [slots.inputs[place], slots.outputs[place]];
  const isWrong = input !== undefined && errors.some((error) => error.input === input.name);
  return (
    <div className={`n-row ${isWrong ? "is-wrong" : ""}`}>
      {input !== undefined && (
        <>
          <Dot node={node.id} side="input" slot={input} />
          <span className="n-label">{input.label}</span>
        </>
      )}
      {output !== undefined && (
        <>
          <span className="n-label is-output">{output.label}</span>
          <Dot node={node.id} side="output" slot={output} />
        </>
      )}
    </div>
  );
}

/** Of a collapsed node: one end for each side, so that its links have where to go. */
function Stubs({ node, slots }: { readonly node: Node; readonly slots: Slots }): React.JSX.Element {
  const input = slots.inputs[0] ?? slots.widgets[0];
  const output = slots.outputs[0];
  return (
    <>
      {input !== undefined && <Dot node={node.id} side="input" slot={input} />}
      {output !== undefined && <Dot node={node.id} side="output" slot={output} />}
    </>
  );
}

/** The community's old reroute node: a title with one end on each side. */
function OldReroute({ node, slots, style }: { readonly node: Node; readonly slots: Slots; readonly style: CSSProperties }): React.JSX.Element {
  return (
    <div className="n-node n-reroute" style={style}>
      <Stubs node={node} slots={slots} />
    </div>
  );
}

/** Tell the links where the sockets of the fields are, after every drawing and whenever their heights change. */
function useAnchors(node: Node, slots: Slots): React.RefObject<HTMLDivElement | null> {
  const body = useRef<HTMLDivElement>(null);
  const store = useViewStore();
  useLayoutEffect(() => {
    const element = body.current;
    if (element === null) return undefined;
    const measure = (): void => {
      setAnchors(store, node.id, dotTops(element));
      const own = element.closest<HTMLElement>(".react-flow__node")?.offsetHeight ?? 0;
      setHeight(store, flowId.node(node.id), element.offsetTop + element.offsetHeight, own);
    };
    const observed = new ResizeObserver(measure);
    observed.observe(element);
    for (const child of element.children) observed.observe(child);
    measure();
    return () => observed.disconnect();
  }, [node, slots, store]);
  return body;
}

function dotTops(body: HTMLElement): Record<string, number> {
  const tops: Record<string, number> = {};
  for (const dot of body.querySelectorAll<HTMLElement>("[data-widget] .n-dot.is-input")) {
    let top = dot.offsetTop + dot.offsetHeight / 2;
    let parent = dot.offsetParent;
    while (parent instanceof HTMLElement && !parent.classList.contains("react-flow__node")) {
      top += parent.offsetTop + parent.clientTop;
      parent = parent.offsetParent;
    }
    const name = dot.dataset["slot"];
    if (name !== undefined) tops[name] = top;
  }
  return tops;
}
