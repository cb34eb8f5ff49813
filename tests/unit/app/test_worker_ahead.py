"""What is evicted when models do not all fit: what the jobs that wait use last, or not at all."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias, get_args

import pytest
import torch
from torch import nn

from engine.app.worker.ahead import Ahead
from engine.compat.prompt_json import read
from engine.graph.bind import bind
from engine.graph.build import build
from engine.graph.graph import TypedGraph
from engine.memory.device import SimulatedDevice
from engine.memory.handle import ModelHandle, tenants_in
from engine.memory.room import Room
from engine.memory.work import in_one_piece
from engine.node import node
from engine.node.declare import definition_of
from engine.node.registry import Registry
from engine.runtime.executor import run
from engine.runtime.foresight import Waiting
from engine.runtime.result_cache import ResultCache
from tests.unit.runtime.conftest import World

Known: TypeAlias = Literal["queue", "run", "nothing"]
"""Whether one knows what waiting jobs want, or only what the present one does."""

PARTS = ("words", "picture", "pixels")
SIDE = 64
NET = 4 * SIDE * SIDE
ROWS = torch.ones(1, SIDE)


@node("Load")
def load(name: str) -> Any:
    torch.manual_seed(sum(map(ord, name)))
    return ModelHandle(nn.Linear(SIDE, SIDE, bias=False), torch.device("cpu"))


@node("Use", sink=True)
def use(net: Any, seed: int) -> None:
    net.run(lambda: in_one_piece("use", lambda net, rows: net(rows), ROWS), lambda net, _given: net(ROWS * seed))


NODES = Registry(found for found in map(definition_of, (load, use)) if found is not None)


def prompt(model: str, seed: int) -> dict[str, Any]:
    """Three nets of a model, each used once, in this order."""
    found: dict[str, Any] = {}
    for place, part in enumerate(PARTS):
        found[f"{place}l"] = {"class_type": "Load", "inputs": {"name": f"{model} {part}"}}
        found[f"{place}u"] = {"class_type": "Use", "inputs": {"net": [f"{place}l", 0], "seed": seed}}
    return found


class Machine:
    """Runs jobs in turn in a room for four nets, and counts the bytes that are loaded."""

    def __init__(self) -> None:
        self.world, self.cache = World(), ResultCache(2**20)
        self.room = Room(SimulatedDevice(4 * NET + 4096), bounds=(1, NET))
        self.ahead = Ahead(lambda prompt, _targets: self.waiting(prompt), self.cache)
        self.loaded: list[int] = []

    def bound(self, prompt: Any) -> TypedGraph:
        specs = {name: definition.spec for name, definition in NODES.items()}
        return bind(build(read(prompt)), specs, files=self.world.files).require()

    def waiting(self, prompt: Any) -> Waiting:
        return Waiting(self.bound(prompt), NODES, self.world.fingerprint)

    def work(self, queue: list[str], known: Known) -> list[int]:
        """Run a queue of models; the nets that each job had to load."""
        prompts = [json.dumps(prompt(model, seed)) for seed, model in enumerate(queue)]
        for place, text in enumerate(prompts):
            rest = prompts[place + 1 :] if known == "queue" else []
            jobs = [{"id": text, "length": len(text), "targets": "[]"} for text in rest]
            self.ahead.tell({"jobs": jobs}, "".join(rest).encode())
            before = self.uploads()
            self.job(json.loads(text), known)
            self.loaded.append((self.uploads() - before) // NET)
        return self.loaded

    def job(self, prompt: Any, known: Known) -> None:
        def foresee(upcoming: Any) -> None:
            if known != "nothing":
                self.room.upcoming = lambda: tenants_in([*upcoming(), *self.ahead.values()], self.room)

        with self.room.entered():
            assert run(self.bound(prompt), NODES, self.world, cache=self.cache, foresee=foresee).done

    def uploads(self) -> int:
        return sum(tenant.residency.uploads for tenant in self.room._tenants)


@pytest.mark.parametrize(
    ("known", "loads"),
    [("queue", [3, 3, 0, 0]), ("run", [3, 3, 2, 0]), ("nothing", [3, 3, 3, 0])],  # the last is the longest unused first
)
def test_what_waiting_jobs_want_stays_and_is_not_loaded_again(known: Known, loads: list[int]) -> None:
    assert Machine().work(["a", "b", "a", "a"], known) == loads


def test_what_is_wanted_sooner_stays_before_what_is_wanted_later() -> None:
    queue, kinds = ["a", "b", "c", "b", "a", "c"], get_args(Known)
    loads = [sum(Machine().work(queue, known)) for known in kinds]
    assert loads == sorted(loads)
    assert loads[0] < loads[-1]


def test_a_job_that_cannot_be_read_is_passed_over() -> None:
    machine = Machine()
    texts = ["{", json.dumps(prompt("a", 1))]
    jobs = [{"id": text, "length": len(text), "targets": "[]"} for text in texts]
    machine.job(prompt("a", 0), "run")
    machine.ahead.tell({"jobs": jobs}, "".join(texts).encode())
    found = list(machine.ahead.values())
    assert [type(value) for value in found] == [ModelHandle] * len(PARTS)
