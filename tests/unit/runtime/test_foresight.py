"""What a graph that waits will take of what is kept: values of the cache for nodes that will have to run."""

from __future__ import annotations

from typing import Any

from engine.compat.prompt_json import read
from engine.graph.bind import bind
from engine.graph.build import build
from engine.runtime.foresight import Waiting
from tests.unit.runtime.conftest import Bench

Prompt = dict[str, Any]
ADDED: Prompt = {
    "1": ("Value", {"value": 3}),
    "2": ("Value", {"value": 4}),
    "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}),
    "4": ("Show", {"value": ["3", 0]}),
}


def waiting(bench: Bench, prompt: Prompt) -> Waiting:
    specs = {name: definition.spec for name, definition in bench.definitions.items()}
    document = read({i: {"class_type": t, "inputs": inputs} for i, (t, inputs) in prompt.items()})
    graph = bind(build(document), specs, files=bench.world.files).require()
    return Waiting(graph, bench.definitions, bench.world.fingerprint)


def test_values_that_are_kept_come_in_the_order_of_the_nodes_that_take_them(bench: Bench) -> None:
    later = waiting(bench, ADDED)
    assert list(later.values(bench.cache)) == []
    bench.run({"1": ("Value", {"value": 4}), "2": ("Show", {"value": ["1", 0]})})
    assert list(later.values(bench.cache)) == [4]
    bench.run({"1": ("Value", {"value": 3}), "2": ("Show", {"value": ["1", 0]})})
    assert list(later.values(bench.cache)) == [3, 4]


def test_nothing_is_taken_for_what_is_there_already(bench: Bench) -> None:
    bench.run({**ADDED, "4": ("Writes", {"value": ["3", 0]})})
    assert list(waiting(bench, ADDED).values(bench.cache)) == [7]
    bench.run(ADDED)
    assert list(waiting(bench, ADDED).values(bench.cache)) == []


def test_looking_ahead_is_no_use_of_a_result(bench: Bench) -> None:
    bench.run({"1": ("Value", {"value": 4}), "2": ("Show", {"value": ["1", 0]})})
    bench.run({"1": ("Value", {"value": 5}), "2": ("Show", {"value": ["1", 0]})})
    kept = list(bench.cache._entries)
    assert list(waiting(bench, ADDED).values(bench.cache)) == [4]
    assert list(bench.cache._entries) == kept
