"""Binding checks what outputs depend on, converts literals, and keeps the outputs that are sound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graph.bind import BindError, bind
from engine.graph.bind_node import bind_node
from engine.graph.build import build
from engine.graph.document import PromptDocument
from engine.graph.graph import Constant, Link, Node


def test_a_sound_graph_binds_in_topological_order(bind_prompt, sampling):
    graph = bind_prompt(dict(reversed(sampling.items()))).require()
    assert graph.targets == ("9",)
    assert graph.order.index("4") < graph.order.index("5") < graph.order.index("9")
    assert graph.nodes["5"].links == {"model": Link("4", 0), "latent_image": Link("7", 0)}
    assert graph.nodes["5"].constants == {"steps": 20, "cfg": 8.0, "sampler_name": "euler"}


@pytest.mark.parametrize(
    ("name", "given", "bound"),
    [
        ("steps", "4", 4),
        ("steps", 4.0, 4),
        ("cfg", 20, 20.0),
        ("cfg", "7.5", 7.5),
        ("tile", "false", False),
        ("tile", "True", True),
        ("tile", 1, True),
    ],
)
def test_literals_become_the_type_of_their_widget(bind_prompt, sampling, name, given, bound):
    sampling["5"][1][name] = given
    value = bind_prompt(sampling).require().nodes["5"].constants[name]
    assert (type(value), value) == (type(bound), bound)


def test_a_number_becomes_text_where_text_is_wanted(bind_prompt, sampling):
    sampling["9"][1]["prefix"] = 7
    assert bind_prompt(sampling).require().nodes["9"].constants["prefix"] == "7"


def test_a_folder_written_with_a_backslash_finds_its_file(bind_prompt, sampling):
    sampling["4"][1]["ckpt_name"] = "sd\\one.safetensors"
    assert bind_prompt(sampling).require().nodes["4"].constants["ckpt_name"] == "sd/one.safetensors"


@pytest.mark.parametrize("absent", [{}, {"mask": None, "tile": None}])
def test_absent_and_null_optional_inputs_are_not_passed(bind_prompt, sampling, absent):
    sampling["5"][1].update(absent)
    node = bind_prompt(sampling).require().nodes["5"]
    assert {"mask", "tile"}.isdisjoint({*node.constants, *node.links})


def test_a_link_may_feed_a_widget_of_its_type(bind_prompt, sampling):
    sampling["1"] = ("Pass", {"value": 5})
    sampling["5"][1]["steps"] = ["1", 0]
    assert bind_prompt(sampling).require().nodes["5"].links["steps"] == Link("1", 0)


def test_undeclared_inputs_are_ignored_with_all_that_hangs_on_them(bind_prompt, sampling):
    sampling["5"][1]["extra"] = ["8", 0]
    sampling["8"] = ("Nope", {})
    sampling["4"][1]["back"] = ["5", 0]
    graph = bind_prompt(sampling).require()
    assert "8" not in graph.nodes
    assert "extra" not in graph.nodes["5"].links


def test_a_node_with_dynamic_inputs_gets_what_it_did_not_declare(bind_prompt, sampling):
    sampling["9"] = ("Any", {"a": ["5", 0], "b": [1, 2, 3]})
    node = bind_prompt(sampling).require().nodes["9"]
    assert (node.links, node.constants) == ({"a": Link("5", 0)}, {"b": [1, 2, 3]})


def test_inputs_the_node_validates_itself_are_converted_but_not_checked(bind_prompt):
    graph = bind_prompt({"1": ("Checked", {"n": "400", "c": "picture.png [output]"})}).require()
    assert graph.nodes["1"].constants == {"n": 400, "c": "picture.png [output]"}


def test_nodes_no_output_depends_on_are_not_looked_at(bind_prompt, sampling):
    sampling["20"] = ("KSampler", {})
    assert "20" not in bind_prompt(sampling).require().nodes


def test_all_faults_are_reported_at_once_in_document_order(bind_prompt, sampling):
    sampling["4"][1]["ckpt_name"] = "gone"
    sampling["5"][1].update(steps=0, cfg="x")
    binding = bind_prompt(sampling)
    assert [(fault.node, fault.input) for fault in binding.diagnostics] == [
        ("4", "ckpt_name"),
        ("5", "steps"),
        ("5", "cfg"),
    ]
    with pytest.raises(BindError, match=r"(?s)Loader 4.*input steps.*input cfg"):
        binding.require()


def test_one_broken_output_leaves_the_others_to_run(bind_prompt, sampling):
    sampling["10"] = ("Save", {"samples": ["11", 0]})
    sampling["11"] = ("KSampler", sampling["5"][1] | {"steps": 0})
    binding = bind_prompt(sampling)
    assert [fault.node for fault in binding.diagnostics] == ["11"]
    assert binding.graph is not None
    assert (binding.graph.targets, set(binding.graph.nodes)) == (("9",), {"4", "5", "7", "9"})


def test_a_cycle_breaks_only_the_outputs_behind_it(bind_prompt, sampling):
    sampling["1"] = ("Pass", {"value": ["2", 0]})
    sampling["2"] = ("Pass", {"value": ["1", 0]})
    sampling["3"] = ("Show", {"value": ["2", 0]})
    binding = bind_prompt(sampling)
    assert [fault.code for fault in binding.diagnostics] == ["graph_cycle"]
    assert binding.graph is not None
    assert binding.graph.targets == ("9",)


def test_targets_choose_among_the_outputs(bind_prompt, sampling):
    sampling["3"] = ("Show", {"value": ["7", 0]})
    assert set(bind_prompt(sampling, targets=["3", "nope"]).require().nodes) == {"3", "7"}


@pytest.mark.parametrize("targets", [[], ["nope"], ["5"]])
def test_targets_that_are_no_outputs_leave_nothing_to_run(bind_prompt, sampling, targets):
    (fault,) = bind_prompt(sampling, targets=targets).diagnostics
    assert fault.code == "prompt_no_outputs"


def test_files_are_listed_once_for_a_binding(specs):
    asked = []
    nodes = {str(i): Node(str(i), "Loader", {"ckpt_name": Constant("a")}) for i in range(3)}
    nodes["s"] = Node("s", "Any", {key: Link(key, 0) for key in nodes})
    bind(build(PromptDocument(nodes)), specs, files=lambda kind: asked.append(kind) or ["a"]).require()
    assert asked == ["checkpoints"]


def test_a_node_made_at_run_time_may_be_handed_a_ready_value(specs):
    node = Node("1", "Save", {"samples": Constant(object())})
    assert bind_node(node, specs["Save"], lambda _: None, lambda _: [], in_memory=True)[1] == []
    assert bind_node(node, specs["Save"], lambda _: None, lambda _: [])[1][0].code == "bad_linked_input"


names = st.sampled_from("abcd")
given_inputs = st.dictionaries(
    st.sampled_from(["value", "samples", "first", "n", "c", "size", "steps", "ckpt_name"]),
    st.builds(Link, names, st.integers(-1, 2))
    | st.builds(Constant, st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.none())),
)
types = st.sampled_from(["Pass", "Show", "Save", "Any", "Empty", "Checked", "KSampler", "Gone"])


@given(st.dictionaries(names, st.tuples(types, given_inputs)))
def test_any_graph_binds_to_faults_or_to_a_closed_ordered_part(specs, drawn):
    nodes = {key: Node(key, kind, inputs) for key, (kind, inputs) in drawn.items()}
    binding = bind(build(PromptDocument(nodes)), specs, files=lambda _: ["a"])
    assert binding.diagnostics or binding.graph
    assert all(str(fault) for fault in binding.diagnostics)
    if binding.graph:
        place = {node: number for number, node in enumerate(binding.graph.order)}
        assert set(binding.graph.targets) <= set(place) == set(binding.graph.nodes)
        for node in binding.graph.nodes.values():
            assert all(place[link.source] < place[node.id] for link in node.links.values())


def chain(count: int) -> dict:
    first = {"0": ("Pass", {"value": 1})}
    return first | {str(i): ("Pass", {"value": [str(i - 1), 0]}) for i in range(1, count)}


def wide(count: int) -> dict:
    return {str(i): ("Pass", {"value": i}) for i in range(count)}


def tree(count: int) -> dict:
    return {str(i): ("Pass", {"value": [str((i - 1) // 2), 0] if i else 0}) for i in range(count)}


@pytest.mark.parametrize("shape", [chain, wide, tree])
def test_ten_thousand_nodes_bind_without_recursion_(bind_prompt, shape):
    prompt = shape(10_000)
    prompt["end"] = ("Any", {f"in{i}": [key, 0] for i, key in enumerate(list(prompt))})
    graph = bind_prompt(prompt).require()
    assert len(graph.order) == 10_001
