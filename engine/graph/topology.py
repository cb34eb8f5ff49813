"""Orders, ancestors and cycles of a graph given as `node -> the nodes it takes inputs from`.

All walks are loops, linear in nodes and links: a chain of 10,000 nodes is an ordinary graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

N = TypeVar("N")


def order(sources: Mapping[N, Iterable[N]]) -> tuple[N, ...]:
    """The nodes, each after all of its sources, otherwise in the order given (Kahn, 1962).

    Nodes on a cycle, or behind one, are left out. Sources that are no keys of the mapping are ignored.
    """
    waiting = dict.fromkeys(sources, 0)
    consumers: dict[N, list[N]] = {node: [] for node in sources}
    for node, its_sources in sources.items():
        for source in its_sources:
            if source in consumers:
                consumers[source].append(node)
                waiting[node] += 1
    ready = [node for node, count in waiting.items() if count == 0]
    for node in ready:  # grows while it is walked: a queue that is also the result
        for consumer in consumers[node]:
            waiting[consumer] -= 1
            if waiting[consumer] == 0:
                ready.append(consumer)
    return tuple(ready)


def ancestors(starts: Iterable[N], sources: Callable[[N], Iterable[N]]) -> set[N]:
    """The nodes `starts` and everything they depend on, directly or not."""
    found = set(starts)
    stack = list(found)
    while stack:
        for source in sources(stack.pop()):
            if source not in found:
                found.add(source)
                stack.append(source)
    return found


def cycles(sources: Mapping[N, Iterable[N]]) -> tuple[tuple[N, ...], ...]:
    """One cycle of every knot (strongly connected component) of the graph, in the direction the data flows.

    Each cycle starts at that of its nodes which comes first in `sources`, each node stands in it once.
    """
    import networkx  # 0.2 s to import, and only graphs that are refused come here

    place = {node: number for number, node in enumerate(sources)}
    graph = networkx.DiGraph()
    graph.add_nodes_from(sources)
    graph.add_edges_from((source, node) for node, listed in sources.items() for source in listed if source in place)
    found = []
    for knot in networkx.strongly_connected_components(graph):
        start = min(knot, key=place.__getitem__)
        if len(knot) > 1 or graph.has_edge(start, start):
            found.append(_one_cycle(start, {node: [s for s in sources[node] if s in knot] for node in knot}, place))
    return tuple(sorted(found, key=lambda cycle: place[cycle[0]]))


def _one_cycle(start: N, sources: Mapping[N, list[N]], place: Mapping[N, int]) -> tuple[N, ...]:
    """Inside a knot every node has a source in the knot: walking upstream must meet a node again."""
    path: dict[N, None] = {}
    node = start
    while node not in path:
        path[node] = None
        node = sources[node][0]
    upstream = list(path)
    loop = upstream[upstream.index(node) :][::-1]
    first = loop.index(min(loop, key=place.__getitem__))
    return tuple(loop[first:] + loop[:first])
