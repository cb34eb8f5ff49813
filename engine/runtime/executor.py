"""Runs a typed graph: lazily, from its targets up, each result at most once.

Planning is part of the run. A node that is needed is looked up in the cache by its content key; if the result is there,
what it depends on is never looked at. Otherwise its sources become needed. Nodes whose inputs are there are ready and
run in the order of the graph. Nothing recurses, so graphs may be as deep as they are wide.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import ClassVar, Protocol, TypeAlias

from engine.foundation.errors import EaselError
from engine.graph.bind_node import bind_node
from engine.graph.build import build
from engine.graph.document import PromptDocument
from engine.graph.graph import Link, Node, NodeId, TypedGraph, TypedNode
from engine.graph.keys import Key
from engine.graph.spec import NodeSpec
from engine.graph.subgraph import Expansion, ExpansionError
from engine.node.context import Cancelled, NodeContext, Note, Saved, Services, Shown
from engine.node.definition import NodeDefinition
from engine.runtime import events
from engine.runtime.cancellation import CancelToken
from engine.runtime.events import Event, EventSink
from engine.runtime.keys import add_keys
from engine.runtime.result_cache import Result, ResultCache, Values
from engine.runtime.step import Computed, Failed, Outcome, calls_for, compute, gathered
from engine.store.artifacts import Artifact

Foresight: TypeAlias = Callable[[], Iterable[object]]
CANCEL_POLL_SECONDS = 0.05
_log = logging.getLogger(__name__)


class NodeError(EaselError):
    """A node failed. `where` names the node the user sees; `inputs` are its inputs in short."""

    code: ClassVar[str] = "node_failed"

    def __init__(self, failed: events.NodeFailed, title: str) -> None:
        name = f"{failed.node_type} {failed.node}" + (f' "{title}"' if title else "")
        super().__init__(f"{failed.kind}: {failed.message}", where=name)
        self.node = failed.node
        self.inputs = failed.inputs


class RunServices(Services, Protocol):
    """What a run needs from its surroundings, beside what it hands on to its nodes."""

    def files(self, kind: str) -> Sequence[str]:
        """The names of the files of a kind."""
        ...

    def fingerprint(self, kind: str, name: str) -> object:
        """A token that changes when the file does."""
        ...


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `artifacts` are the files of each node the user sees, in the order the nodes finished."""

    artifacts: Mapping[NodeId, tuple[Artifact, ...]]
    error: NodeError | None = None
    cancelled: bool = False

    @property
    def done(self) -> bool:
        """Whether every target was reached."""
        return self.error is None and not self.cancelled


def run(
    graph: TypedGraph,
    definitions: Mapping[str, NodeDefinition],
    services: RunServices,
    *,
    cache: ResultCache,
    sink: EventSink = lambda _event: None,
    cancel: CancelToken | None = None,
    foresee: Callable[[Foresight], None] = lambda _upcoming: None,
) -> RunResult:
    """Run `graph` for its targets. Results that are in `cache` are used, new ones are put there.

    `foresee` is handed what tells, at any time during the run, which values the nodes that are yet to run will take.
    """
    working = _Run(graph, definitions, services, cache, sink, cancel or CancelToken())
    foresee(working.upcoming)
    return asyncio.run(working.run())


@dataclass(slots=True)
class _Pending:
    """A node that is needed: how many sources it waits for, who waits for it, and what it expanded into."""

    waits: int = 0
    dependents: list[NodeId] = field(default_factory=list)
    demanded: frozenset[str] = frozenset()
    expanded: tuple[tuple[object, ...] | Expansion, ...] | None = None
    artifacts: list[Artifact] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class _Run:
    """The state of one run."""

    def __init__(
        self,
        graph: TypedGraph,
        definitions: Mapping[str, NodeDefinition],
        services: RunServices,
        cache: ResultCache,
        sink: EventSink,
        cancel: CancelToken,
    ) -> None:
        self._graph = graph
        self._definitions = definitions
        self._services = services
        self._cache = cache
        self._sink = sink
        self._cancel = cancel
        self._nodes: dict[NodeId, TypedNode] = dict(graph.nodes)
        self._place: dict[NodeId, int] = {node_id: place for place, node_id in enumerate(graph.order)}
        self._parent: dict[NodeId, NodeId] = {}
        self._keys: dict[NodeId, Key] = {}
        self._pending: dict[NodeId, _Pending] = {}
        self._results: dict[NodeId, Result] = {}
        self._uses: Counter[NodeId] = Counter()
        self._ready: list[tuple[int, NodeId]] = []
        self._tasks: dict[asyncio.Task[Outcome], NodeId] = {}
        self._artifacts: dict[NodeId, tuple[Artifact, ...]] = {}

    async def run(self) -> RunResult:
        """Until every target is there, a node fails, or the run is cancelled."""
        self._emit(events.RunStarted(len(self._nodes)))
        error = None
        cancelled = False
        try:
            ordered = [self._nodes[node_id] for node_id in self._graph.order]
            add_keys(self._keys, ordered, self._definitions, self._services.fingerprint)
            self._uses.update(link.source for node in ordered for link in node.links.values())
            cached = tuple(node_id for node_id in self._graph.order if self._keys[node_id] in self._cache)
            self._emit(events.NodesCached(cached))
            self._need(self._graph.targets)
            await self._work()
            self._emit(events.RunFinished())
        except Cancelled:
            cancelled = True
            self._emit(events.RunCancelled())
        except NodeError as failure:
            error = failure
            self._emit(events.RunFailed())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return RunResult(self._artifacts, error, cancelled)

    def upcoming(self) -> Iterator[object]:
        """The values that are there for nodes that run now or later, in the order in which they are to run."""
        for node_id in sorted(self._pending.keys() - self._results.keys(), key=self._place.__getitem__):
            for link in self._nodes[node_id].links.values():
                if link.source in self._results:
                    yield from self._results[link.source].outputs[link.output]

    async def _work(self) -> None:
        while self._ready or self._tasks:
            self._cancel.check()
            if self._ready:
                await self._advance(heappop(self._ready)[1])
                if self._tasks:
                    await asyncio.sleep(0)
            else:
                await asyncio.wait(self._tasks, timeout=CANCEL_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in self._tasks if task.done()]:
                self._settle(self._tasks.pop(task), task.result())

    async def _advance(self, node_id: NodeId) -> None:
        """Take a node whose sources are there one step on: ask for lazy inputs, run it, or join its expansion."""
        pending = self._pending[node_id]
        if pending.expanded is not None:
            self._join(node_id, pending.expanded)
            return
        node = self._nodes[node_id]
        definition = self._definitions[node.spec.id]
        calls = calls_for(node.spec, self._inputs(node, pending))
        if definition.demand is not None:
            wanted = self._demand(node_id, definition, calls) - pending.demanded
            if wanted:
                pending.demanded |= wanted
                self._wait(node_id, [node.links[name].source for name in sorted(wanted)])
                return
        self._emit(events.NodeStarted(self._shown(node_id)))
        working = compute(definition, calls, lambda index: self._context(node_id, index))
        if inspect.iscoroutinefunction(definition.function):
            self._tasks[asyncio.ensure_future(working)] = node_id
        else:
            self._settle(node_id, await working)

    def _settle(self, node_id: NodeId, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            self._fail(node_id, outcome.error, outcome.inputs)
        else:
            if outcome.blocked is not None:
                self._emit(events.NodeBlocked(self._shown(node_id), outcome.blocked))
            self._take(node_id, outcome)

    def _take(self, node_id: NodeId, outcome: Computed) -> None:
        expansions = [call for call in outcome.calls if isinstance(call, Expansion)]
        if not expansions:
            plain = [call for call in outcome.calls if not isinstance(call, Expansion)]
            self._finish(node_id, gathered(self._nodes[node_id].spec, plain))
            return
        for expansion in expansions:
            self._add(node_id, expansion)
        self._pending[node_id].expanded = outcome.calls
        inner = [link.source for link in _links(expansions)]
        self._uses.update(inner)
        sinks = [n for call in expansions for n in call.nodes if self._nodes[n].spec.sink]
        self._wait(node_id, [*inner, *sinks])

    def _add(self, parent: NodeId, expansion: Expansion) -> None:
        """Bind the nodes of an expansion and add them to the run."""
        graph = build(PromptDocument(expansion.nodes))
        if graph.cycles:
            names = " -> ".join(graph.cycles[0])
            self._fail(parent, ExpansionError("the nodes it made feed each other in a circle", got=names), {})
        for node_id in graph.order:
            node = graph.nodes[node_id]
            spec = self._spec(node.type)
            if spec is None:
                self._fail(parent, ExpansionError("it made a node of an unknown type", got=node.type), {})
                return
            typed, faults = bind_node(node, spec, self._source, self._services.files, in_memory=True)
            if faults:
                self._fail(parent, ExpansionError("it made a node that does not fit", got=str(faults[0])), {})
            self._nodes[node_id] = typed
            self._parent[node_id] = parent
            self._place[node_id] = self._place[parent]
        added = [self._nodes[node_id] for node_id in graph.order]
        self._uses.update(link.source for node in added for link in node.links.values())
        add_keys(self._keys, added, self._definitions, self._services.fingerprint, in_memory=self._keys[parent])

    def _join(self, node_id: NodeId, calls: Sequence[tuple[object, ...] | Expansion]) -> None:
        """The outputs of a node whose expansions have run."""
        spec = self._nodes[node_id].spec
        outputs: list[list[object]] = [[] for _ in spec.outputs]
        for call in calls:
            if isinstance(call, Expansion):
                for values, output in zip(outputs, call.outputs, strict=False):
                    values.extend(self._value(output))
            else:
                for values, joined in zip(outputs, gathered(spec, [call]), strict=True):
                    values.extend(joined)
        self._finish(node_id, tuple(map(tuple, outputs)))
        self._let_go(_links(call for call in calls if isinstance(call, Expansion)))

    def _value(self, output: object) -> Values:
        if isinstance(output, Link):
            return self._results[output.source].outputs[output.output]
        return (output,)

    def _finish(self, node_id: NodeId, outputs: tuple[Values, ...]) -> None:
        pending = self._pending[node_id]
        result = Result(outputs, tuple(pending.artifacts), tuple(pending.texts))
        self._results[node_id] = result
        if self._nodes[node_id].spec.cacheable:
            self._cache.put(self._keys[node_id], result)
        if node_id not in self._parent:
            self._announce(node_id, result, cached=False)
        for dependent in pending.dependents:
            self._release(dependent)
        self._let_go(self._nodes[node_id].links.values())

    def _let_go(self, links: Iterable[Link]) -> None:
        """Forget results that nobody in the graph will ask for again; the cache may still have them."""
        for link in links:
            self._uses[link.source] -= 1
            if not self._uses[link.source]:
                self._results.pop(link.source, None)

    def _announce(self, node_id: NodeId, result: Result, *, cached: bool) -> None:
        if result.artifacts:
            self._artifacts[node_id] = result.artifacts
        self._emit(events.NodeFinished(node_id, result.artifacts, cached, result.texts))

    def _release(self, node_id: NodeId) -> None:
        pending = self._pending[node_id]
        pending.waits -= 1
        if pending.waits == 0:
            heappush(self._ready, (self._place[node_id], node_id))

    def _wait(self, node_id: NodeId, sources: Iterable[NodeId]) -> None:
        """Let a node wait until all `sources` are there; it is ready at once if they are."""
        wanted = list(dict.fromkeys(sources))
        pending = self._pending[node_id]
        pending.waits += 1  # its own, so that it is not released half-way
        self._need(wanted)
        for source in wanted:
            if source not in self._results:
                self._pending[source].dependents.append(node_id)
                pending.waits += 1
        self._release(node_id)

    def _need(self, roots: Iterable[NodeId]) -> None:
        """Make `roots` needed, and what they depend on unless their results are in the cache."""
        new: list[NodeId] = []
        stack = [node_id for node_id in roots if node_id not in self._results and node_id not in self._pending]
        while stack:
            node_id = stack.pop()
            if node_id in self._results or node_id in self._pending:
                continue
            node = self._nodes[node_id]
            cached = self._cache.get(self._keys[node_id]) if node.spec.cacheable else None
            if cached is not None:
                self._results[node_id] = cached
                if node.spec.sink and node_id not in self._parent:
                    self._announce(node_id, cached, cached=True)
                self._let_go(node.links.values())
                continue
            self._pending[node_id] = _Pending()
            new.append(node_id)
            stack.extend(self._eager_sources(node))
        for node_id in new:
            pending = self._pending[node_id]
            for source in self._eager_sources(self._nodes[node_id]):
                if source not in self._results:
                    self._pending[source].dependents.append(node_id)
                    pending.waits += 1
            if pending.waits == 0:
                heappush(self._ready, (self._place[node_id], node_id))

    def _eager_sources(self, node: TypedNode) -> list[NodeId]:
        lazy = {item.name for item in node.spec.inputs if item.lazy} if node.spec.inputs else ()
        return [link.source for name, link in node.links.items() if name not in lazy]

    def _inputs(self, node: TypedNode, pending: _Pending) -> dict[str, Values]:
        """The values of each input; lazy ones that were not demanded are None."""
        inputs: dict[str, Values] = {name: (value,) for name, value in node.constants.items()}
        lazy = {item.name for item in node.spec.inputs if item.lazy} - pending.demanded
        for name, link in node.links.items():
            missing = name in lazy or link.source not in self._results
            inputs[name] = (None,) if missing else self._results[link.source].outputs[link.output]
        return inputs

    def _demand(
        self, node_id: NodeId, definition: NodeDefinition, calls: Sequence[Mapping[str, object]]
    ) -> frozenset[str]:
        """The lazy inputs that the node asks for, of those that are linked."""
        assert definition.demand is not None
        links = self._nodes[node_id].links
        lazy = {item.name for item in definition.spec.inputs if item.lazy and item.name in links}
        try:
            return frozenset(
                name for call in calls for name in definition.demand(**definition.arguments(call)) if name in lazy
            )
        except Exception as error:  # noqa: BLE001  # the border: a demand function is the author's code too
            self._fail(node_id, error, {})
        return frozenset()

    def _context(self, node_id: NodeId, call: int) -> NodeContext:
        shown = self._shown(node_id)

        def report(note: Note) -> None:
            if isinstance(note, Saved):
                self._pending[node_id].artifacts.append(note.artifact)
            elif isinstance(note, Shown):
                self._pending[node_id].texts.append(note.text)
            self._emit(events.NodeNote(shown, note))

        return NodeContext(self._services, node_id=node_id, call=call, report=report, check=self._cancel.check)

    def _fail(self, node_id: NodeId, error: Exception, inputs: Mapping[str, str]) -> None:
        shown = self._shown(node_id)
        node = self._nodes[shown]
        failed = events.NodeFailed(shown, node.spec.id, type(error).__name__, str(error), inputs)
        self._emit(failed)
        raise NodeError(failed, node.title) from error

    def _shown(self, node_id: NodeId) -> NodeId:
        """The node that the user sees: the one that a chain of expansions began with."""
        while node_id in self._parent:
            node_id = self._parent[node_id]
        return node_id

    def _source(self, node_id: NodeId) -> tuple[Node, NodeSpec | None] | None:
        node = self._nodes.get(node_id)
        return None if node is None else (Node(node_id, node.spec.id), node.spec)

    def _spec(self, node_type: str) -> NodeSpec | None:
        definition = self._definitions.get(node_type)
        return definition.spec if definition else None

    def _emit(self, event: Event) -> None:
        try:
            self._sink(event)
        except Exception:  # noqa: BLE001  # the border: whoever listens must not hurt the run
            _log.exception("an event sink failed on %s", type(event).__name__)


def _links(expansions: Iterable[Expansion]) -> list[Link]:
    """The outputs of expansions that are links."""
    return [output for expansion in expansions for output in expansion.outputs if isinstance(output, Link)]
