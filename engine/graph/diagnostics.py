"""What can be wrong with a graph, as values: one `Diagnostic` per fault, all of them reported at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, TypeAlias

from engine.foundation.json import JsonValue
from engine.graph.graph import Node, NodeId

Code: TypeAlias = Literal[
    "required_input_missing",
    "bad_linked_input",
    "return_type_mismatch",
    "invalid_input_type",
    "value_smaller_than_min",
    "value_bigger_than_max",
    "value_not_in_list",
    "unknown_node_type",
    "missing_link_source",
    "bad_output_slot",
    "graph_cycle",
    "prompt_no_outputs",
    "custom_validation_failed",
]

SHOWN_CHARACTERS = 60
SHOWN_CHOICES = 20


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault of a graph, at an input of a node, at a node, or (`node=None`) of the graph as a whole.

    `code` is the error type that API clients know. `message` is a sentence that stands alone; `expected` and `got`, if
    given, say the same more exactly and are what `str()` shows. `extra` holds data for programs: `received_value`,
    `received_type`, `linked_node`, `exception_message`, `nodes`.
    """

    node: NodeId | None
    node_type: str
    input: str | None
    code: Code
    message: str
    got: str = ""
    expected: str = ""
    hint: str = ""
    extra: Mapping[str, JsonValue] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line such as `KSampler 5, input steps: expected 1 to 10000, got 0. Use at least 1.`"""
        place = "the graph" if self.node is None else f"{self.node_type} {self.node}"
        if self.input is not None:
            place += f", input {self.input}"
        fault = f"expected {self.expected}, got {self.got}" if self.expected and self.got else self.message
        return f"{place}: {fault}. {self.hint}".removesuffix(". ")


@dataclass(frozen=True, slots=True)
class Fault:
    """A diagnostic that does not know its place yet."""

    code: Code
    message: str
    got: str = ""
    expected: str = ""
    hint: str = ""
    extra: Mapping[str, JsonValue] = field(default_factory=dict)

    def at(self, node: Node | None, input_name: str | None = None) -> Diagnostic:
        """The diagnostic of this fault at an input of `node`, at `node`, or of the graph as a whole."""
        return Diagnostic(
            node=node.id if node else None,
            node_type=node.type if node else "",
            input=input_name,
            code=self.code,
            message=self.message,
            got=self.got,
            expected=self.expected,
            hint=self.hint,
            extra=self.extra,
        )


def shown(value: JsonValue) -> str:
    """`value` as a message shows it: text in quotes, long text cut, containers only named."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if not isinstance(value, str | int | float):
        return f"a {type(value).__name__}"
    return shortened(repr(value))


def shortened(text: str) -> str:
    """`text`, cut when it is long, with its length."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"


def shown_choices(choices: Collection[str]) -> str:
    """The choices themselves while they are few, else how many there are."""
    if len(choices) > SHOWN_CHOICES:
        return f"one of {len(choices)} choices"
    return f"one of {', '.join(choices)}" if choices else "one of no choices"


Suggest: TypeAlias = Callable[[str, Iterable[str]], str]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`Did you mean a or b?` for the known names that look like `name` whatever their case, or the empty text."""
    by_lower = {item.lower(): item for item in known}
    close = get_close_matches(name[:200].lower(), by_lower, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(by_lower[item] for item in close)}?" if close else ""
