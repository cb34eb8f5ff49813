"""The author API: the `node` decorator, annotations, and the context. See docs/nodes.md."""

from engine.graph.subgraph import Expansion, GraphBuilder
from engine.node.annotations import (
    AfterRun,
    Blocked,
    Cfg,
    Choice,
    Files,
    Fraction,
    Grow,
    Lazy,
    Match,
    Omittable,
    Range,
    Seed,
    Socket,
    Steps,
    Text,
    Tooltip,
    Variants,
)
from engine.node.context import PLAIN, Cancelled, NodeContext
from engine.node.declare import node
from engine.node.request import Request, Sampling

__all__ = [
    "PLAIN",
    "AfterRun",
    "Blocked",
    "Cancelled",
    "Cfg",
    "Choice",
    "Expansion",
    "Files",
    "Fraction",
    "GraphBuilder",
    "Grow",
    "Lazy",
    "Match",
    "NodeContext",
    "Omittable",
    "Range",
    "Request",
    "Sampling",
    "Seed",
    "Socket",
    "Steps",
    "Text",
    "Tooltip",
    "Variants",
    "node",
]
