"""Every fault of a graph has its code and reads as one clear line."""

from __future__ import annotations

import pytest

from engine.graph.diagnostics import Diagnostic, did_you_mean, shown

NO_LINK = "A link is written [node id, output number]."


@pytest.mark.parametrize(
    ("changed", "code", "line"),
    [
        ({"steps": 0}, "value_smaller_than_min", "steps: expected 1 to 10000, got 0"),
        ({"cfg": 100.5}, "value_bigger_than_max", "cfg: expected 0.0 to 100.0, got 100.5"),
        ({"steps": "abc"}, "invalid_input_type", "steps: expected a whole number, got 'abc'"),
        ({"cfg": "nan"}, "invalid_input_type", "cfg: expected a finite number, got 'nan'"),
        ({"cfg": None}, "invalid_input_type", "cfg: expected a finite number, got null"),
        ({"tile": "maybe"}, "invalid_input_type", "tile: expected true or false, got 'maybe'"),
        (
            {"sampler_name": "oiler"},
            "value_not_in_list",
            "sampler_name: expected one of euler, heun, dpm_2, got 'oiler'. Did you mean euler?",
        ),
        (
            {"steps": [1, 2, 3]},
            "bad_linked_input",
            f"steps: expected a whole number or a link, got a list of 3. {NO_LINK}",
        ),
        ({"model": "sd15"}, "bad_linked_input", f"model: expected a link to a MODEL output, got 'sd15'. {NO_LINK}"),
        ({"model": ["7", 0]}, "return_type_mismatch", "model: expected MODEL, got LATENT from output 0 of Empty 7"),
        (
            {"model": ["4", 3]},
            "bad_output_slot",
            "model: expected an output of Loader 4: 0 (MODEL), 1 (CLIP), 2 (VAE), got output 3",
        ),
        (
            {"model": ["4", -1]},
            "bad_output_slot",
            "model: expected an output of Loader 4: 0 (MODEL), 1 (CLIP), 2 (VAE), got output -1",
        ),
        (
            {"model": ["99", 0]},
            "missing_link_source",
            "model: it is linked to node '99', which is not in the graph. Link it to another node.",
        ),
    ],
)
def test_a_bad_input_is_named_with_what_was_expected_and_got(bind_prompt, sampling, changed, code, line):
    sampling["5"][1].update(changed)
    (fault,) = bind_prompt(sampling).diagnostics
    assert (fault.code, str(fault)) == (code, f"KSampler 5, input {line}")


@pytest.mark.parametrize(
    ("name", "line"),
    [("model", "expected a link to a MODEL output"), ("steps", "expected a value or link of type INT")],
)
def test_an_absent_required_input_is_missing_even_if_its_widget_has_a_default(bind_prompt, sampling, name, line):
    del sampling["5"][1][name]
    (fault,) = bind_prompt(sampling).diagnostics
    assert (fault.code, str(fault)) == ("required_input_missing", f"KSampler 5, input {name}: {line}, got nothing")


def test_an_unknown_type_suggests_names_that_look_like_it(bind_prompt, sampling):
    sampling["5"] = ("ksamplr", sampling["5"][1])
    (fault,) = bind_prompt(sampling).diagnostics
    assert fault.code == "unknown_node_type"
    assert str(fault) == "ksamplr 5: there is no node type of this name. Did you mean KSampler?"


def test_an_unknown_type_like_no_other_points_to_node_packs(bind_prompt):
    (fault,) = bind_prompt({"1": ("Zzz", {})}).diagnostics
    assert str(fault) == "Zzz 1: there is no node type of this name. Install the node pack that brings it."


def test_a_cycle_names_all_its_nodes_in_the_direction_of_the_data(bind_prompt):
    prompt = {
        "1": ("Pass", {"value": ["3", 0]}),
        "2": ("Pass", {"value": ["1", 0]}),
        "3": ("Pass", {"value": ["2", 0]}),
        "4": ("Show", {"value": ["2", 0]}),
    }
    (fault,) = bind_prompt(prompt).diagnostics
    assert (fault.code, fault.extra["nodes"]) == ("graph_cycle", ["1", "2", "3"])
    chain = "Pass 1 -> Pass 2 -> Pass 3 -> Pass 1"
    assert str(fault) == f"Pass 1: these nodes feed each other in a circle: {chain}. Remove one of the links."


def test_a_graph_without_outputs_says_what_to_add(bind_prompt):
    (fault,) = bind_prompt({"7": ("Empty", {})}).diagnostics
    assert fault.code == "prompt_no_outputs"
    assert str(fault) == "the graph: it has no output to run for. Add an output node such as Save."


def test_a_missing_file_of_an_empty_folder_says_so(bind_prompt, sampling, files):
    files["checkpoints"] = []
    (fault,) = bind_prompt(sampling).diagnostics
    assert fault.hint == "There are no files of the kind checkpoints yet."


def test_long_values_are_cut_in_messages_but_kept_for_programs(bind_prompt, sampling):
    sampling["5"][1]["sampler_name"] = "x" * 5000
    (fault,) = bind_prompt(sampling).diagnostics
    assert len(str(fault)) < 200
    assert fault.extra["received_value"] == "x" * 5000


def test_long_lists_of_choices_are_counted():
    fault = Diagnostic(None, "", None, "value_not_in_list", "m", "'x'", "one of 44 choices")
    assert str(fault) == "the graph: expected one of 44 choices, got 'x'"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("a", "'a'"),
        ([1], "a list of 1"),
        ({}, "an object"),
        (b"", "a bytes"),
    ],
)
def test_values_are_shown_as_json_has_them(value, text):
    assert shown(value) == text


def test_suggestions_ignore_case_and_stay_silent_without_a_likeness():
    assert did_you_mean("KSAMPLER", ["KSampler", "Save"]) == "Did you mean KSampler?"
    assert did_you_mean("qqq", ["KSampler", "Save"]) == ""
