// The kinds of node that React Flow draws. The object is made once: a new one would mount every node anew.

import { EndView } from "./end-node";
import { FrameView } from "./frame-node";
import { NodeView } from "./node-view";
import { RerouteView } from "./reroute-node";

export const NODE_TYPES = { node: NodeView, frame: FrameView, reroute: RerouteView, end: EndView };
