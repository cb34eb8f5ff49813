"""What graphs that are to run later will find there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.graph.graph import NodeId, TypedGraph
from engine.graph.keys import Key
from engine.node.definition import NodeDefinition
from engine.runtime.keys import FileFingerprint, add_keys
from engine.runtime.result_cache import ResultCache


class Waiting:
    """A graph that is to run later, with the keys of its nodes as files are now."""

    def __init__(
        self, graph: TypedGraph, definitions: Mapping[str, NodeDefinition], fingerprint: FileFingerprint
    ) -> None:
        self._graph = graph
        self._keys: dict[NodeId, Key] = {}
        add_keys(self._keys, [graph.nodes[node_id] for node_id in graph.order], definitions, fingerprint)

    def values(self, cache: ResultCache) -> Iterator[object]:
        """The values in `cache` that its nodes will take, in the order in which they are to run."""
        needed = self._needed(cache)
        for node_id in self._graph.order:
            if node_id in needed:
                for link in self._graph.nodes[node_id].links.values():
                    known = cache.peek(self._keys[link.source])
                    if known is not None:
                        yield from known.outputs[link.output]

    def _needed(self, cache: ResultCache) -> set[NodeId]:
        """The nodes that will have to run; those behind lazy inputs may turn out not to."""
        needed: set[NodeId] = set()
        stack = list(self._graph.targets)
        while stack:
            node_id = stack.pop()
            if node_id not in needed and self._keys[node_id] not in cache:
                needed.add(node_id)
                stack += [link.source for link in self._graph.nodes[node_id].links.values()]
        return needed
