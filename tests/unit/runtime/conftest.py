"""Toy nodes, and a way to run a prompt of them that records what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.compat.prompt_json import read
from engine.graph.bind import bind
from engine.graph.build import build
from engine.node import PLAIN, Blocked, Expansion, Lazy, NodeContext, node
from engine.node.context import Place
from engine.node.declare import definition_of
from engine.node.definition import NodeDefinition
from engine.node.registry import Registry
from engine.runtime.cancellation import CancelToken
from engine.runtime.events import Event
from engine.runtime.executor import RunResult, run
from engine.runtime.result_cache import ResultCache
from engine.store.artifacts import Artifact


@dataclass
class World:
    """Surroundings of the toy runs: the calls that were made, and a file that may change."""

    calls: list[str] = field(default_factory=list)
    shown: list[Any] = field(default_factory=list)
    file_version: str = "1"
    fingerprint_value: object = "same"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    metadata: Mapping[str, str] = field(default_factory=dict)
    make: Callable[[Any], Any] = lambda previous: previous

    def files(self, kind: str) -> Sequence[str]:
        return ("a.txt",)

    def fingerprint(self, kind: str, name: str) -> str:
        return self.file_version

    def file(self, kind: str, name: str) -> Path:
        return Path(name)

    def save(self, data: bytes, prefix: str, suffix: str, place: Place, size: tuple[int, int]) -> Artifact:
        return Artifact(Path(prefix + suffix), prefix + suffix, "", place, len(data), "", "")


class Bench:
    """Runs prompts of the toy nodes over one cache."""

    def __init__(self, world: World, definitions: Mapping[str, NodeDefinition]) -> None:
        self.world = world
        self.definitions = definitions
        self.cache = ResultCache(2**20)
        self.events: list[Event] = []

    def run(self, prompt: dict[str, Any], targets: list[str] | None = None, **options: Any) -> RunResult:
        self.world.calls.clear()
        self.world.shown.clear()
        self.events.clear()
        specs = {name: definition.spec for name, definition in self.definitions.items()}
        document = read({i: {"class_type": t, "inputs": inputs} for i, (t, inputs) in prompt.items()})
        graph = bind(build(document), specs, files=self.world.files, targets=targets).require()  # type: ignore[arg-type]
        options = {"cancel": CancelToken(), "sink": self.events.append} | options
        return run(graph, self.definitions, self.world, cache=self.cache, **options)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def bench() -> Bench:
    world = World()
    return Bench(world, toys(world))


def toys(world: World) -> Registry:
    """Nodes that write their name into `world.calls` when they run."""
    functions = [*_values(world), *_flows(), *_expanders(world), *_workers(world)]
    return Registry(found for found in map(definition_of, functions) if found is not None)


def _values(world: World) -> list[Callable[..., Any]]:

    @node("Value")
    def value(value: int = 0) -> int:
        world.calls.append(f"Value {value}")
        return value

    @node("Add")
    def add(a: int, b: int = 0) -> int:
        world.calls.append(f"Add {a} {b}")
        return a + b

    @node("Numbers")
    def numbers(count: int) -> list[int]:
        return list(range(count))

    @node("Sum")
    def total(values: list[int]) -> int:
        world.calls.append("Sum")
        return sum(values)

    @node("Show", sink=True)
    def show(value: Any) -> None:
        world.shown.append(value)

    return [value, add, numbers, total, show]


def _flows() -> list[Callable[..., Any]]:
    @node("Pick", demand=lambda first, **_rest: ["a"] if first else ["b"])
    def pick(first: bool, a: Lazy[int], b: Lazy[int]) -> int | None:
        return a if first else b

    @node("Fail")
    def fail(value: int, text: str | None = None) -> int:
        raise ValueError("no good")

    @node("Block")
    def block(value: int, message: str = "") -> Any:
        return Blocked(message or None)

    @node("BlockOdd")
    def block_odd(value: int) -> Any:
        return Blocked("odd") if value % 2 else value

    return [pick, fail, block, block_odd]


def _expanders(world: World) -> list[Callable[..., Any]]:
    @node("Count")
    def count(times: int, ctx: NodeContext = PLAIN) -> int | Expansion:
        world.calls.append(f"Count {times}")
        if times == 0:
            return 0
        graph = ctx.subgraph()
        rest = graph.node("Count", "rest", times=times - 1)
        return graph.expansion(graph.node("Add", "sum", a=rest.out(0), b=1).out(0))

    @node("ExpandBadly")
    def expand_badly(how: str, ctx: NodeContext = PLAIN) -> int | Expansion:
        graph = ctx.subgraph()
        if how == "cycle":
            first = graph.node("Add", "first")
            second = graph.node("Add", "second", a=first.out(0))
            first.set("a", second.out(0))
            return graph.expansion(second.out(0))
        inner = graph.node("Fail", "inner", value=1) if how == "fail" else graph.node("Nothing", "inner")
        return graph.expansion(inner.out(0))

    return [count, expand_badly]


def _workers(world: World) -> list[Callable[..., Any]]:
    @node("Fingerprinted", fingerprint=lambda value: world.fingerprint_value)
    def fingerprinted(value: int = 0) -> int:
        world.calls.append("Fingerprinted")
        return value

    @node("Slow")
    async def slow(value: int) -> int:
        world.calls.append(f"begin {value}")
        await asyncio.sleep(0.01)
        world.calls.append(f"end {value}")
        return value

    @node("Stepping")
    def stepping(steps: int, ctx: NodeContext = PLAIN) -> int:
        for step in ctx.steps(steps):
            world.calls.append(f"step {step}")
        return steps

    @node("Writes", sink=True)
    def writes(value: int, ctx: NodeContext = PLAIN) -> None:
        ctx.save(b"data", f"file{value}", ".bin")

    @node("Token")
    def token(previous: Any) -> Any:
        return world.make(previous)

    @node("Forget", sink=True)
    def forget(value: Any) -> None:
        del value

    return [fingerprinted, slow, stepping, writes, token, forget]
