"""A typed function becomes a spec, and a wrong one is refused by name."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any, NamedTuple

import pytest
from torch import Tensor

from engine.graph.spec import (
    ChoiceWidget,
    FloatWidget,
    InputSpec,
    IntWidget,
    NodeSpec,
    OutputSpec,
    StringWidget,
    from_json,
    to_json,
)
from engine.node import (
    PLAIN,
    Blocked,
    Choice,
    Expansion,
    Files,
    Lazy,
    NodeContext,
    Omittable,
    Range,
    Request,
    Seed,
    Text,
    node,
)
from engine.node.declare import definition_of
from engine.node.definition import DeclarationError
from engine.node.registry import ClashError, Registry
from engine.tensors.values import Image, Latent, Mask


class Pair(NamedTuple):
    image: Image
    masks: list[Mask]


@node("Full", category="test", version=3, outputs=["picture", "parts"])
def full(
    image: Image,
    seed: Seed,
    strength: Annotated[float, Range(0.0, 2.0, step=0.1)] = 1.5,
    mode: Annotated[str, Choice("a", "b")] = "b",
    name: Annotated[str, Files("loras")] = "",
    text: Annotated[str, Text(multiline=True)] = "hi",
    mask: Mask | None = None,
    many: list[Latent] | None = None,
    ctx: NodeContext = PLAIN,
) -> Pair:
    """Does everything."""
    return Pair(image, [])


def spec_of(function: Any) -> NodeSpec:
    found = definition_of(function)
    assert found is not None
    return found.spec


def test_every_kind_of_parameter_becomes_an_input() -> None:
    assert spec_of(full).inputs == (
        InputSpec("image", "IMAGE"),
        InputSpec("seed", "INT", widget=IntWidget(0, 0, 2**64 - 1, control_after_generate=True)),
        InputSpec("strength", "FLOAT", widget=FloatWidget(1.5, 0.0, 2.0, 0.1)),
        InputSpec("mode", "COMBO", widget=ChoiceWidget(("a", "b"), "b")),
        InputSpec("name", "COMBO", widget=ChoiceWidget((), "", "loras")),
        InputSpec("text", "STRING", widget=StringWidget("hi", multiline=True)),
        InputSpec("mask", "MASK", required=False),
        InputSpec("many", "LATENT", required=False, takes_list=True),
    )


def test_a_named_tuple_gives_the_outputs() -> None:
    assert spec_of(full).outputs == (OutputSpec("picture", "IMAGE"), OutputSpec("parts", "MASK", is_list=True))


def test_the_function_stays_a_function() -> None:
    image = Image(Tensor(1, 2, 2, 3))
    assert full(image, 1).image is image


def test_a_spec_survives_json() -> None:
    assert from_json(to_json(spec_of(full))) == spec_of(full)


def test_the_context_is_injected_and_no_input() -> None:
    found = definition_of(full)
    assert found is not None
    assert found.context == "ctx"


def test_a_generator_gives_its_return_value() -> None:
    @node("Steps")
    def steps(value: int) -> Generator[Request, Tensor, Latent]:
        raise NotImplementedError
        yield

    assert spec_of(steps).outputs == (OutputSpec("LATENT", "LATENT"),)


def test_an_expansion_in_the_result_is_no_output() -> None:
    @node("Grow")
    def grow(value: int) -> int | Expansion:
        return value

    assert spec_of(grow).outputs == (OutputSpec("INT", "INT"),)


def test_an_omittable_widget_keeps_its_default_and_may_be_left_out() -> None:
    @node("Omits")
    def omits(image: Image, strength: Annotated[float, Range(0.0, 1.0), Omittable()] = 1.0) -> Image:
        return image

    definition = definition_of(omits)
    assert definition is not None
    item = definition.spec.inputs[1]
    assert (item.required, item.widget) == (False, FloatWidget(1.0, 0.0, 1.0, 1.0))


def test_lazy_inputs_need_a_demand_function() -> None:
    with pytest.raises(DeclarationError, match="node Bad, parameter a: lazy inputs and demand= belong together"):

        @node("Bad")
        def bad(a: Lazy[Image]) -> Image | None:
            return a


def test_a_parameter_without_a_type_is_refused() -> None:
    with pytest.raises(DeclarationError, match="node Bad, parameter value: annotate it with a type"):

        @node("Bad")
        def bad(value) -> int:  # type: ignore[no-untyped-def]  # the point of the test
            return 0


def test_a_type_without_a_socket_is_refused() -> None:
    with pytest.raises(DeclarationError, match="has no socket type"):

        @node("Bad")
        def bad(value: dict[str, int]) -> int:
            return 0


def test_a_default_outside_its_range_is_refused() -> None:
    with pytest.raises(DeclarationError, match="default 5 lies outside 0 to 2"):

        @node("Bad")
        def bad(value: Annotated[int, Range(0, 2)] = 5) -> int:
            return value


def test_two_packs_with_one_name_are_both_named() -> None:
    def define(module: str) -> Any:
        def same(value: int = 0) -> int:
            return value

        same.__module__ = module
        return definition_of(node("Same")(same))

    with pytest.raises(ClashError, match="first_pack and second_pack"):
        Registry([define("first_pack"), define("second_pack")])


def test_a_blocker_may_carry_a_message() -> None:
    assert Blocked("why").message == "why"


def test_inputs_may_have_names_that_parameters_cannot_have() -> None:
    @node("Shares", each={"in.": 0.5, "out.": 1.0})
    def shares(first: int = 1, ctx: NodeContext = PLAIN, **rest: Annotated[float, Range(0.0, 1.0)]) -> float:
        return sum(rest.values())

    definition = definition_of(shares)
    assert definition is not None
    assert [item.name for item in definition.spec.inputs] == ["first", "in.", "out."]
    assert [getattr(item.widget, "default", None) for item in definition.spec.inputs] == [1, 0.5, 1.0]
    assert shares(**{"in.": 0.25, "out.": 0.5}) == 0.75


def test_a_rest_that_stands_for_nothing_is_refused() -> None:
    with pytest.raises(DeclarationError, match="node Bad, parameter rest: say with each= which inputs it stands for"):

        @node("Bad")
        def bad(**rest: float) -> float:
            return 0.0
