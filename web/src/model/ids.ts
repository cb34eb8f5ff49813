// Branded ids: a node's id cannot be handed over where a link's is wanted.

declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };

export type NodeId = Id<"node">;
export type LinkId = Id<"link">;
export type FrameId = Id<"frame">;
export type RerouteId = Id<"reroute">;
/** A level of the document: the root, or the definition of a subgraph (its UUID). */
export type LevelId = Id<"level">;

export const ROOT = "root" as LevelId;
/** The ends of a subgraph's definition, as link ends: its inputs and its outputs. */
export const INPUTS = "-10" as NodeId;
export const OUTPUTS = "-20" as NodeId;

export const nodeId = (text: string | number): NodeId => String(text) as NodeId;
export const linkId = (text: string | number): LinkId => String(text) as LinkId;
export const frameId = (text: string | number): FrameId => String(text) as FrameId;
export const rerouteId = (text: string | number): RerouteId => String(text) as RerouteId;
export const levelId = (text: string): LevelId => text as LevelId;
