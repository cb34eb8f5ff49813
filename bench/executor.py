"""CPU time the executor costs a node, on nodes that do nothing: chains, fans and trees of 100 to 10,000 nodes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from engine.foundation.errors import EaselError
from engine.graph.bind import bind
from engine.graph.build import build
from engine.graph.document import PromptDocument
from engine.graph.graph import Constant, Input, Link, Node, NodeId, TypedGraph
from engine.node import node
from engine.node.context import Place
from engine.node.declare import definition_of
from engine.node.registry import Registry
from engine.runtime.executor import run
from engine.runtime.result_cache import ResultCache
from engine.store.artifacts import Artifact

SIZES = (100, 1_000, 5_000, 10_000)
REPEATS = 3
FAN = 4
FRESH_LIMIT, CACHED_LIMIT = 50.0, 15.0  # microseconds of CPU a node


@node("BenchSum")
def add(a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> int:
    """A node that does next to nothing."""
    return a + b + c + d


@node("BenchEnd", sink=True)
def end(result: int) -> None:
    """The target."""
    del result


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Surroundings without files."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    metadata: Mapping[str, str] = field(default_factory=dict)

    def files(self, _kind: str) -> Sequence[str]:
        """No names."""
        return ()

    def fingerprint(self, _kind: str, _name: str) -> str:
        """Nothing ever changes."""
        return ""

    def file(self, kind: str, name: str) -> Path:
        """Always refused."""
        raise EaselError("there are no files here", where=kind, got=name)

    def save(self, data: bytes | memoryview, prefix: str, suffix: str, place: Place, size: tuple[int, int]) -> Artifact:
        """Always refused."""
        raise EaselError("nothing is saved here", where=f"{place}/{prefix}{suffix}", got=f"{len(data)} bytes, {size}")


def measure() -> Iterator[str]:
    """A line for each shape and size, and the slope over the sizes."""
    yield "executor: microseconds of CPU a node (limits: fresh 50, cached 15)"
    yield f"{'shape':8}{'nodes':>8}{'fresh':>10}{'cached':>10}{'one leaf changed':>18}"
    for name, make in (("chain", chain), ("fan-in", fan_in), ("tree", tree)):
        rows = [(size, *cost(make, size)) for size in SIZES]
        for size, fresh, cached, changed in rows:
            yield f"{name:8}{size:8}{fresh / size:10.1f}{cached / size:10.1f}{changed / size:18.1f}"
        sizes = [row[0] for row in rows]
        slopes = [np.polyfit(sizes, [row[column] for row in rows], 1)[0] for column in (1, 2, 3)]
        yield f"{name:8}{'slope':>8}{slopes[0]:10.1f}{slopes[1]:10.1f}{slopes[2]:18.1f}"


def cost(make: Callable[[int, int], dict[NodeId, Node]], size: int) -> tuple[float, float, float]:
    """Microseconds of CPU for a fresh run, one with everything cached, and one after the first leaf changed."""
    samples = []
    for _ in range(REPEATS):
        cache = ResultCache(2**30)
        before, after = typed(make(size, 1)), typed(make(size, 2))
        samples.append([_microseconds(graph, cache) for graph in (before, before, after)])
    fresh, cached, changed = np.min(samples, axis=0).tolist()
    return fresh, cached, changed


def typed(nodes: dict[NodeId, Node]) -> TypedGraph:
    """The nodes as a bound graph."""
    return bind(build(PromptDocument(nodes)), registry().specs, files=lambda _kind: ()).require()


def registry() -> Registry:
    """The node types of this bench."""
    return Registry(found for found in map(definition_of, (add, end)) if found is not None)


def chain(size: int, leaf: int) -> dict[NodeId, Node]:
    """Each node feeds the next."""
    nodes = [_sum(0, [Constant(leaf)])] + [_sum(i, [_link(i - 1)]) for i in range(1, size - 1)]
    return _ended(nodes, size - 2)


def fan_in(size: int, leaf: int) -> dict[NodeId, Node]:
    """Every node takes the leaf, and the ends are summed up."""
    nodes = [_sum(0, [Constant(leaf)])]
    nodes += [_sum(i, [_link(0), _link(i - 1)]) for i in range(1, size - 1)]
    return _ended(nodes, size - 2)


def tree(size: int, leaf: int) -> dict[NodeId, Node]:
    """Each node sums up to four; the leaves come first."""
    nodes: list[Node] = []
    level = list(range((size - 1) * (FAN - 1) // FAN))
    nodes += [_sum(i, [Constant(leaf if i == 0 else 0)]) for i in level]
    while len(level) > 1:
        parents = []
        for start in range(0, len(level), FAN):
            nodes.append(_sum(len(nodes), [_link(i) for i in level[start : start + FAN]]))
            parents.append(len(nodes) - 1)
        level = parents
    return _ended(nodes, level[0])


def _sum(number: int, inputs: list[Input]) -> Node:
    return Node(NodeId(str(number)), "BenchSum", dict(zip("abcd", _padded(inputs), strict=True)))


def _padded(inputs: list[Input]) -> list[Input]:
    return [*inputs, *[Constant(0)] * (4 - len(inputs))]


def _link(number: int) -> Link:
    return Link(NodeId(str(number)), 0)


def _ended(nodes: list[Node], last: int) -> dict[NodeId, Node]:
    final = Node(NodeId("end"), "BenchEnd", {"result": _link(last)})
    return {node.id: node for node in [*nodes, final]}


def _microseconds(graph: TypedGraph, cache: ResultCache) -> float:
    gc.collect()
    start = time.process_time()
    run(graph, registry(), Nowhere(), cache=cache)
    return (time.process_time() - start) * 1e6
