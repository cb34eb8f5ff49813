"""Seconds of nodes: remembered by device and work, where seeds and texts do not count."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.app.timings import MOST, Timed, Timings, work_keys
from engine.compat import prompt_json
from engine.graph.bind import bind
from engine.graph.build import build
from engine.graph.graph import NodeId
from engine.graph.keys import Key
from engine.plugins.packs import load_packs
from engine.runtime import events
from engine.runtime.events import Event

REGISTRY = load_packs(None).registry
A, B = Key("a"), Key("b")


def keys_of(**sampling: object) -> dict[NodeId, Key]:
    given = {"width": 64, "seed": 1, "text": ""} | sampling
    size = {"width": given["width"], "height": 64, "batch_size": 1}
    prompt = {
        "1": {"class_type": "EmptyLatentImage", "inputs": size},
        "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": given["seed"]}},
        "3": {"class_type": "SaveLatent", "inputs": {"samples": ["1", 0], "filename_prefix": given["text"]}},
    }
    graph = bind(build(prompt_json.read(prompt)), REGISTRY.specs, files=lambda _kind: ()).require()
    return work_keys(graph, REGISTRY, lambda _kind, _name: 0)


def test_seeds_and_texts_are_all_the_same_and_sizes_are_not() -> None:
    plain = keys_of()
    assert keys_of(seed=7, text="other") == plain
    wide = keys_of(width=128)
    assert [node for node in plain if wide[node] != plain[node]] == ["1", "3"]


def test_the_quickest_run_on_each_device_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "seconds.json"
    first, second = Timings(path, "cpu"), Timings(path, "cuda")
    for seconds in (3.0, 1.0, 2.0):
        first.took(A, seconds)
    second.took(A, 0.1)
    first.save()
    second.save()
    assert [Timings(path, device).seconds(A) for device in ("cpu", "cuda", "mps")] == [1.0, 0.1, None]


@pytest.mark.parametrize("content", ["", "[1]", '{"cpu": 3}', '{"cpu": {"a": "much"}}', "\x00"])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seconds.json"
    path.write_text(content)
    timings = Timings(path, "cpu")
    assert timings.seconds(A) is None
    timings.took(A, 2.0)
    timings.save()
    assert Timings(path, "cpu").seconds(A) == 2.0


def test_there_is_an_end_to_what_is_remembered(tmp_path: Path) -> None:
    timings = Timings(tmp_path / "seconds.json", "cpu")
    for number in range(MOST + 1):
        timings.took(Key(str(number)), 1.0)
    timings.save()
    again = Timings(tmp_path / "seconds.json", "cpu")
    assert (again.seconds(Key("0")), again.seconds(Key("1"))) == (None, 1.0)


def test_nodes_that_worked_are_timed_and_all_events_go_on(tmp_path: Path) -> None:
    timings, heard = Timings(tmp_path / "none", "cpu"), list[Event]()
    sink = Timed(heard.append, {NodeId("1"): A, NodeId("2"): B}, timings)
    told = [events.NodeStarted(NodeId("1")), events.NodeFinished(NodeId("1"), (), False, ())]
    told += [events.NodeFinished(NodeId("2"), (), True, ())]
    for event in told:
        sink(event)
    assert heard == told
    assert timings.seconds(A) is not None
    assert timings.seconds(B) is None
