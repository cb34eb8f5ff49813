"""The community's execution semantics, and the laws of the cache."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from engine.graph.bind import BindError
from engine.runtime import events
from engine.runtime.cancellation import CancelToken
from tests.unit.runtime.conftest import Bench

Prompt = dict[str, Any]


def show(source: str) -> tuple[str, dict[str, Any]]:
    return ("Show", {"value": [source, 0]})


def test_only_what_targets_need_runs(bench: Bench) -> None:
    prompt = {"1": ("Value", {"value": 1}), "2": ("Value", {"value": 2}), "3": show("1")}
    assert bench.run(prompt).done
    assert bench.world.calls == ["Value 1"]


def test_a_node_that_feeds_two_runs_once(bench: Bench) -> None:
    prompt = {"1": ("Value", {"value": 1}), "2": ("Add", {"a": ["1", 0], "b": ["1", 0]}), "3": show("2")}
    bench.run(prompt)
    assert bench.world.calls == ["Value 1", "Add 1 1"]
    assert bench.world.shown == [2]


def test_chosen_targets_run_alone(bench: Bench) -> None:
    prompt = {"1": ("Value", {"value": 1}), "2": ("Value", {"value": 2}), "3": show("1"), "4": show("2")}
    bench.run(prompt, targets=["4"])
    assert bench.world.shown == [2]


def test_the_same_graph_again_runs_nothing(bench: Bench) -> None:
    prompt = {"1": ("Value", {"value": 1}), "2": ("Add", {"a": ["1", 0], "b": 1}), "3": show("2")}
    bench.run(prompt)
    bench.run(prompt)
    assert bench.world.calls == []
    assert bench.of(events.NodesCached) == [events.NodesCached(("1", "2", "3"))]  # type: ignore[arg-type]


def test_a_changed_literal_reruns_only_what_depends_on_it(bench: Bench) -> None:
    def prompt(b: int) -> Prompt:
        return {"1": ("Value", {"value": 1}), "2": ("Add", {"a": ["1", 0], "b": b}), "3": show("2")}

    bench.run(prompt(1))
    bench.run(prompt(5))
    assert bench.world.calls == ["Add 1 5"]
    assert bench.world.shown == [6]


def test_a_cached_subtree_is_not_looked_at_even_if_its_own_source_was_dropped(bench: Bench) -> None:
    prompt = {"1": ("Value", {"value": 1}), "2": ("Add", {"a": ["1", 0], "b": 1}), "3": show("2")}
    bench.run(prompt)
    bench.cache._drop(next(iter(bench.cache._entries)))  # the oldest entry: node 1
    bench.run({**prompt, "4": ("Writes", {"value": ["2", 0]})})
    assert bench.world.calls == []


def test_cached_sinks_still_give_their_artifacts(bench: Bench) -> None:
    prompt = {"1": ("Writes", {"value": 3})}
    first, second = bench.run(prompt), bench.run(prompt)
    assert first.artifacts == second.artifacts
    assert [event.cached for event in bench.of(events.NodeFinished)] == [True]


def test_fingerprints_decide_about_reuse(bench: Bench) -> None:
    prompt = {"1": ("Fingerprinted", {"value": 1}), "2": show("1")}
    runs = []
    for value in ("same", "same", "other", math.nan, math.nan):
        bench.world.fingerprint_value = value
        bench.run(prompt)
        runs.append(bench.world.calls == ["Fingerprinted"])
    assert runs == [True, False, True, True, True]


def test_lazy_inputs_that_are_not_demanded_never_run(bench: Bench) -> None:
    prompt = {
        "1": ("Value", {"value": 1}),
        "2": ("Value", {"value": 2}),
        "3": ("Pick", {"first": True, "a": ["1", 0], "b": ["2", 0]}),
        "4": show("3"),
    }
    bench.run(prompt)
    assert bench.world.calls == ["Value 1"]
    assert bench.world.shown == [1]


def test_a_plain_input_is_mapped_over_a_list(bench: Bench) -> None:
    prompt = {"1": ("Numbers", {"count": 3}), "2": ("Add", {"a": ["1", 0], "b": 10}), "3": show("2")}
    bench.run(prompt)
    assert bench.world.shown == [10, 11, 12]


def test_a_shorter_list_repeats_its_last_element(bench: Bench) -> None:
    prompt = {
        "1": ("Numbers", {"count": 2}),
        "2": ("Numbers", {"count": 4}),
        "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}),
        "4": show("3"),
    }
    bench.run(prompt)
    assert bench.world.shown == [0, 2, 3, 4]


def test_a_list_input_takes_the_whole_list(bench: Bench) -> None:
    prompt = {"1": ("Numbers", {"count": 5}), "2": ("Sum", {"values": ["1", 0]}), "3": show("2")}
    bench.run(prompt)
    assert bench.world.shown == [10]


def test_an_empty_list_calls_nothing(bench: Bench) -> None:
    prompt = {"1": ("Numbers", {"count": 0}), "2": ("Add", {"a": ["1", 0], "b": 1}), "3": show("2")}
    assert bench.run(prompt).done
    assert bench.world.shown == []


def test_a_blocked_branch_stops_and_the_rest_goes_on(bench: Bench) -> None:
    prompt = {
        "1": ("Block", {"value": 1, "message": "not today"}),
        "2": ("Add", {"a": ["1", 0], "b": 1}),
        "3": show("2"),
        "4": ("Value", {"value": 4}),
        "5": show("4"),
    }
    assert bench.run(prompt).done
    assert bench.world.shown == [4]
    assert bench.of(events.NodeBlocked) == [events.NodeBlocked("2", "not today")]  # type: ignore[arg-type]


def test_a_blocked_list_element_leaves_the_others(bench: Bench) -> None:
    prompt = {"1": ("Numbers", {"count": 4}), "2": ("BlockOdd", {"value": ["1", 0]}), "3": show("2")}
    bench.run(prompt)
    assert bench.world.shown == [0, 2]


def test_an_expansion_takes_the_place_of_its_node(bench: Bench) -> None:
    bench.run({"1": ("Count", {"times": 3}), "2": show("1")})
    assert bench.world.shown == [3]
    assert {event.node for event in bench.of(events.NodeStarted)} == {"1", "2"}


def test_a_loop_of_many_rounds_does_not_recurse(bench: Bench) -> None:
    bench.run({"1": ("Count", {"times": 2000}), "2": show("1")})
    assert bench.world.shown == [2000]


def test_expansions_are_cached_by_content(bench: Bench) -> None:
    bench.run({"1": ("Count", {"times": 3}), "2": show("1")})
    bench.run({"1": ("Count", {"times": 3}), "2": ("Add", {"a": ["1", 0], "b": 1}), "3": show("2")})
    assert bench.world.calls == ["Add 3 1"]


def test_an_expansion_of_each_list_element(bench: Bench) -> None:
    bench.run({"1": ("Numbers", {"count": 3}), "2": ("Count", {"times": ["1", 0]}), "3": show("2")})
    assert bench.world.shown == [0, 1, 2]


@pytest.mark.parametrize(
    ("how", "words"), [("cycle", "feed each other in a circle"), ("unknown", "unknown type"), ("fail", "no good")]
)
def test_faults_in_expansions_are_blamed_on_the_node_the_user_sees(bench: Bench, how: str, words: str) -> None:
    result = bench.run({"7": ("ExpandBadly", {"how": how}), "8": show("7")})
    assert result.error is not None
    assert result.error.node == "7"
    assert words in str(result.error)


def test_a_failing_node_stops_its_run_and_says_what_it_was_given(bench: Bench) -> None:
    prompt = {"1": ("Value", {"value": 1}), "2": ("Fail", {"value": ["1", 0], "text": "x" * 500}), "3": show("2")}
    result = bench.run(prompt)
    assert str(result.error) == "Fail 2: ValueError: no good"
    (failed,) = bench.of(events.NodeFailed)
    assert failed.inputs["value"] == "1"
    assert len(failed.inputs["text"]) <= 100
    assert isinstance(bench.events[-1], events.RunFailed)


def test_work_done_before_a_failure_is_kept(bench: Bench) -> None:
    prompt = {"1": ("Value", {"value": 1}), "2": ("Fail", {"value": ["1", 0]}), "3": show("2")}
    bench.run(prompt)
    bench.run(prompt)
    assert bench.world.calls == []


def test_asynchronous_nodes_overlap(bench: Bench) -> None:
    prompt = {
        "1": ("Slow", {"value": 1}),
        "2": ("Slow", {"value": 2}),
        "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}),
        "4": show("3"),
    }
    bench.run(prompt)
    assert bench.world.calls == ["begin 1", "begin 2", "end 1", "end 2", "Add 1 2"]


def test_a_cancelled_run_stops_between_two_steps(bench: Bench) -> None:
    cancel = CancelToken()

    def sink(event: events.Event) -> None:
        bench.events.append(event)
        if isinstance(event, events.NodeNote):
            cancel.cancel()

    result = bench.run({"1": ("Stepping", {"steps": 100}), "2": show("1")}, cancel=cancel, sink=sink)
    assert result.cancelled
    assert bench.world.calls == ["step 0"]
    assert isinstance(bench.events[-1], events.RunCancelled)


def test_a_run_after_a_cancelled_one_is_whole(bench: Bench) -> None:
    cancel = CancelToken()
    cancel.cancel()
    prompt = {"1": ("Stepping", {"steps": 2}), "2": show("1")}
    assert bench.run(prompt, cancel=cancel).cancelled
    assert bench.run(prompt).done


def test_progress_is_told_step_by_step(bench: Bench) -> None:
    bench.run({"1": ("Stepping", {"steps": 3}), "2": show("1")})
    notes = [event.note for event in bench.of(events.NodeNote)]
    assert [(note.value, note.total) for note in notes] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.filterwarnings("ignore")
def test_a_sink_that_raises_does_not_hurt_the_run(bench: Bench) -> None:
    def sink(event: events.Event) -> None:
        raise RuntimeError("listener")

    assert bench.run({"1": ("Value", {"value": 1}), "2": show("1")}, sink=sink).done


def test_a_wrong_graph_does_not_reach_the_run(bench: Bench) -> None:
    with pytest.raises(BindError, match="Add 1, input a: expected a value or link of type INT"):
        bench.run({"1": ("Add", {}), "2": show("1")})


@pytest.mark.parametrize("shape", ["deep", "wide"])
def test_ten_thousand_nodes_deep_or_wide(bench: Bench, shape: str) -> None:
    prompt: Prompt = {"0": ("Value", {"value": 1})}
    for i in range(1, 10_000):
        prompt[str(i)] = ("Add", {"a": [str(i - 1 if shape == "deep" else 0), 0], "b": i if shape == "wide" else 1})
    if shape == "deep":
        prompt["end"] = show("9999")
    else:
        prompt |= {f"end{i}": show(str(i)) for i in range(1, 10_000)}
    assert bench.run(prompt).done
    assert bench.world.shown[-1] == 10_000 if shape == "deep" else len(bench.world.shown) == 9_999


def test_files_that_a_node_saves_are_in_the_result(bench: Bench) -> None:
    result = bench.run({"1": ("Writes", {"value": 1})})
    assert [artifact.filename for artifact in result.artifacts["1"]] == ["file1.bin"]  # type: ignore[index]


def test_results_that_nobody_needs_any_more_are_let_go(bench: Bench) -> None:
    bench.cache.max_bytes = 0
    alive: set[int] = set()
    most = 0

    def make(previous: Any) -> Token:
        nonlocal most
        token = Token()
        alive.add(id(token))
        weakref.finalize(token, alive.discard, id(token))
        most = max(most, len(alive))
        return token

    bench.world.make = make
    prompt: Prompt = {"0": ("Token", {"previous": 0})}
    prompt |= {str(i): ("Token", {"previous": [str(i - 1), 0]}) for i in range(1, 50)}
    assert bench.run({**prompt, "end": ("Forget", {"value": ["49", 0]})}).done
    assert most <= 3


class Token:
    """Something whose life can be watched."""


def test_what_nodes_will_take_is_known_during_a_run_in_the_order_of_use(bench: Bench) -> None:
    told: list[Callable[[], Iterable[object]]] = []
    seen: list[list[object]] = []

    def sink(event: events.Event) -> None:
        if isinstance(event, events.NodeStarted):
            seen.append(list(told[0]()))

    prompt = {
        "1": ("Value", {"value": 3}),
        "2": ("Value", {"value": 4}),
        "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}),
        "4": ("Add", {"a": ["3", 0], "b": ["2", 0]}),
        "5": ("Show", {"value": ["4", 0]}),
    }
    bench.run(prompt, sink=sink, foresee=told.append)
    assert seen == [[], [3], [3, 4, 4], [7, 4], [11]]
