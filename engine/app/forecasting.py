"""A graph run on an imagined device: what each node would take, from the headers of its files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from engine.app.surroundings import Surroundings
from engine.app.timings import Timings, work_keys
from engine.diffusion.sampling import Evaluation, drive
from engine.foundation.settings import Settings
from engine.graph.graph import NodeId, TypedGraph
from engine.graph.keys import Key
from engine.memory.device import Device, open_device
from engine.memory.forecast import Forecast, ImaginedDevice, PlannedWork
from engine.memory.ledger import NoRoomError
from engine.memory.precision import abilities, asked_for
from engine.memory.rates import Rates, measured
from engine.models.weights import STAND_IN
from engine.node.annotations import Blocked
from engine.node.context import Cancelled
from engine.node.definition import NodeDefinition, NodeFunction
from engine.runtime import events
from engine.runtime.events import Event
from engine.runtime.executor import run
from engine.runtime.result_cache import Result, ResultCache


@dataclass(frozen=True, slots=True)
class NodeForecast:
    """What a node would do: its works on nets, its seconds if they are known, and why more is not, if it is not."""

    id: NodeId
    type: str
    title: str
    works: tuple[PlannedWork, ...]
    seconds: float | None
    unknown: str = ""

    @property
    def least(self) -> int:
        """Bytes of the device without which it cannot run."""
        return max((work.least for work in self.works), default=0)


@dataclass(frozen=True, slots=True)
class RunForecast:
    """What a run would do on a device of which it may use `limit` bytes and leaves `reserve` to others."""

    device: str
    limit: int
    reserve: int
    nodes: tuple[NodeForecast, ...]

    @property
    def least(self) -> int:
        """The smallest budget that each node has a mode for."""
        return max((node.least for node in self.nodes), default=0) + self.reserve

    def require(self) -> None:
        """Raise `NoRoomError`, which has the bytes that would do, if there is a node that no mode is left for."""
        without = [work for node in self.nodes for work in node.works if work.mode is None]
        if without:
            largest = max(without, key=lambda work: work.least)
            raise NoRoomError(largest.net, largest.least + self.reserve, self.limit + self.reserve)


def forecast(
    graph: TypedGraph,
    definitions: Mapping[str, NodeDefinition],
    around: Surroundings,
    settings: Settings,
    own: Callable[[str], bool],
    timings: Timings,
) -> RunForecast:
    """What a run of `graph` would do under `settings`. Nothing is saved; nodes that are not our `own` do not run."""
    real = open_device(settings.device)
    there = real.figures()
    total = settings.vram_budget or there.total if real.kind == "simulated" else there.free - real.overhead + there.held
    device = ImaginedDevice(total, streams=real.can.streams)
    policy = settings.vram_policy or "normal"
    room = Forecast(device, settings.vram_budget, reserve=settings.reserve_vram, policy=policy, rates=_rates(real))
    precisions = replace(asked_for(settings), can=abilities(real.place))
    imagined = replace(around, device=torch.device("cpu"), room=room, precisions=precisions)
    watch = _Watch(room)
    stood_in = {
        name: replace(definition, function=watch.guarded(definition, own=own(name)))
        for name, definition in definitions.items()
    }
    with imagined.working(), _standing_in(device):
        ended = run(graph, stood_in, imagined, cache=_Nothing(0), sink=watch)
    if ended.error is not None:
        watch.unknown.setdefault(NodeId(ended.error.node), str(ended.error))
    for node in (graph.nodes[node_id] for node_id in graph.order):
        if any(link.source in watch.unknown for link in node.links.values()):
            watch.unknown.setdefault(node.id, "what comes before it is not known")
    keys = work_keys(graph, definitions, around.fingerprint)
    nodes = tuple(
        NodeForecast(
            node.id,
            node.spec.id,
            node.title or node.spec.display_name,
            tuple(work for work in room.works if work.place == node.id),
            timings.seconds(keys[node.id]),
            watch.unknown.get(node.id, ""),
        )
        for node in (graph.nodes[node_id] for node_id in graph.order)
    )
    return RunForecast(real.name, room.ledger.limit, settings.reserve_vram, nodes)


def _rates(device: Device) -> Rates:
    try:
        return measured(device)
    except torch.OutOfMemoryError:  # it is full to the brim
        return Rates()


@contextmanager
def _standing_in(device: ImaginedDevice) -> Iterator[None]:
    token = STAND_IN.set(device.nothing_of)
    try:
        yield
    finally:
        STAND_IN.reset(token)


class _Nothing(ResultCache):
    """Keeps nothing: what a node would give has no bytes to count."""

    def put(self, key: Key, result: Result) -> None:
        """Let the result go."""


class _Watch:
    """Knows which node runs, and stops branches of which nothing can be said, instead of the run."""

    def __init__(self, room: Forecast) -> None:
        self.unknown: dict[NodeId, str] = {}
        self._room = room

    def __call__(self, event: Event) -> None:
        if isinstance(event, events.NodeStarted):
            self._room.place = event.node

    def guarded(self, definition: NodeDefinition, *, own: bool) -> NodeFunction:
        """The function of a node, or what is called in its place."""
        if definition.spec.sink:
            return lambda **_inputs: Blocked()
        if not own or inspect.iscoroutinefunction(definition.function):
            return lambda **_inputs: self._unknown("nodes of packs are not run for a forecast")

        def called(**inputs: Any) -> Any:
            try:
                value = definition.function(**inputs)
                if inspect.isgenerator(value):
                    return drive(cast("Generator[Evaluation, Tensor, Any]", value))
                return value
            except Cancelled:
                raise
            except Exception as error:  # noqa: BLE001  # the border: a node may raise anything, at zeros most of all
                return self._unknown(f"{type(error).__name__}: {error}")

        return called

    def _unknown(self, reason: str) -> Blocked:
        self.unknown[NodeId(self._room.place)] = reason
        return Blocked()
