"""Node specs: the frozen, JSON-serialisable face of a node type.

A spec says everything that validation, the command line, the server and the editor need to know about a node without
importing the code behind it. `to_json` and `from_json` are exact inverses: a catalogue of specs can be cached on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

WidgetKind = Literal["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"]


@dataclass(frozen=True, slots=True)
class IntWidget:
    """A whole number in `min..max` (both inclusive); `seed` adds the after-run control of the editor."""

    default: int = 0
    min: int = -(2**63)
    max: int = 2**63 - 1
    step: int = 1
    control_after_generate: bool = False


@dataclass(frozen=True, slots=True)
class FloatWidget:
    """A number in `min..max` (both inclusive); `round` is the grid the editor rounds to (`None`: not said)."""

    default: float = 0.0
    min: float = float("-inf")
    max: float = float("inf")
    step: float = 0.01
    round: float | Literal[False] | None = None


@dataclass(frozen=True, slots=True)
class StringWidget:
    """Text; `dynamic_prompts` lets the editor expand `{a|b}` at send time."""

    default: str = ""
    multiline: bool = False
    dynamic_prompts: bool = False


@dataclass(frozen=True, slots=True)
class BooleanWidget:
    """A switch."""

    default: bool = False


@dataclass(frozen=True, slots=True)
class ChoiceWidget:
    """One of `options`, followed by the files of the folder kind `files` (`checkpoints`, `input`, ...).

    File options are looked up when a graph is bound, not when the spec is made. `default=None` means the first option.
    `upload` names the media kind (`image`) that the editor offers to upload into the input folder.
    """

    options: tuple[str, ...] = ()
    default: str | None = None
    files: str | None = None
    upload: str | None = None


Widget: TypeAlias = IntWidget | FloatWidget | StringWidget | BooleanWidget | ChoiceWidget

WIDGETS: Mapping[WidgetKind, type[Widget]] = {
    "INT": IntWidget,
    "FLOAT": FloatWidget,
    "STRING": StringWidget,
    "BOOLEAN": BooleanWidget,
    "COMBO": ChoiceWidget,
}


GROWN = "COMFY_AUTOGROW_V3"
"""The type of an input that stands for as many as are wanted."""

VARIANT = "COMFY_DYNAMICCOMBO_V3"
"""The type of a choice that brings inputs of its own."""

MATCHED = "COMFY_MATCHTYPE_V3"
"""How the type of an input or output with a `match` is written for clients."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Inputs called `prefix` and a number from 0 on, `min` of them required and `max` allowed, each of type `type`."""

    prefix: str
    type: str
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One choice and the inputs that it brings."""

    key: str
    inputs: tuple[InputSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One named input.

    `type` is a socket type name (`MODEL`, `INT`, ...), `*` for any, or a comma list meaning any of these. An input with
    a `widget` takes a literal as well as a link; one without takes links only. `takes_list` wants the whole list where
    a plain input is mapped over its elements; `lazy` is evaluated only when the node's demand function asks for it.

    Inputs and outputs of one node that name the same `match` have the same type at run time, one of those of `type`.
    An input with `growth` (type `GROWN`) is not given itself: `images.image0`, `images.image1`, ... are. Beside the
    choice of an input with `variants` (type `VARIANT`) those of the chosen one are given: `resize.width`.
    """

    name: str
    type: str
    required: bool = True
    widget: Widget | None = None
    lazy: bool = False
    takes_list: bool = False
    advanced: bool = False
    tooltip: str = ""
    match: str = ""
    growth: Growth | None = None
    variants: tuple[Variant, ...] = ()

    def parts(self) -> Iterator[InputSpec]:
        """Every input that may be given under a name that begins with this one's and a dot."""
        if self.growth is not None:
            for number in range(self.growth.max):
                name = f"{self.name}.{self.growth.prefix}{number}"
                yield InputSpec(name, self.growth.type, required=number < self.growth.min)
        for variant in self.variants:
            yield from (replace(item, name=f"{self.name}.{item.name}") for item in variant.inputs)

    def chosen(self, key: object) -> Iterator[InputSpec]:
        """The inputs that the choice of `key` brings, under their full names; of an unknown key none."""
        for variant in self.variants:
            if variant.key == key:
                yield from (replace(item, name=f"{self.name}.{item.name}") for item in variant.inputs)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output, addressed by its position in the node's outputs. `is_list`: each element flows on by itself."""

    name: str
    type: str
    is_list: bool = False
    tooltip: str = ""
    match: str = ""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """The face of a node type.

    `version` is part of every content key. `sink` nodes are what a run is for (they save or show). `cacheable=False`
    runs the node every time; `fingerprinted` and `checked` say that the definition carries a fingerprint function and a
    validator of its own (`checked_inputs` are the inputs that validator takes: built-in range checks are off for them).
    `dynamic_inputs` accepts undeclared inputs and passes them on. `pack` is the module that brought the node.
    """

    id: str
    category: str = ""
    display_name: str = ""
    description: str = ""
    version: int = 1
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    sink: bool = False
    cacheable: bool = True
    fingerprinted: bool = False
    checked: bool = False
    checked_inputs: tuple[str, ...] = ()
    dynamic_inputs: bool = False
    deprecated: bool = False
    experimental: bool = False
    pack: str = ""

    def input(self, name: str) -> InputSpec | None:
        """The input called `name`, or None; of inputs that stand for others those."""
        found = next((spec for spec in self.inputs if spec.name == name), None)
        owner, dot, _ = name.partition(".")
        if found is not None or not dot:
            return found
        parts = (part for spec in self.inputs if spec.name == owner for part in spec.parts())
        return next((part for part in parts if part.name == name), None)


def to_json(spec: NodeSpec) -> dict[str, Any]:
    """`spec` as JSON-ready data. Infinite float bounds travel as the texts `inf` and `-inf`."""
    data = {f.name: getattr(spec, f.name) for f in fields(NodeSpec) if f.name not in ("inputs", "outputs")}
    data["checked_inputs"] = list(spec.checked_inputs)
    data["inputs"] = [_input_to_json(item) for item in spec.inputs]
    data["outputs"] = [{f.name: getattr(item, f.name) for f in fields(OutputSpec)} for item in spec.outputs]
    return data


def from_json(data: Mapping[str, Any]) -> NodeSpec:
    """The spec that `to_json` wrote."""
    values = dict(data)
    values["checked_inputs"] = tuple(values["checked_inputs"])
    values["inputs"] = tuple(_input_from_json(item) for item in values["inputs"])
    values["outputs"] = tuple(OutputSpec(**item) for item in values["outputs"])
    return NodeSpec(**values)


def _input_to_json(spec: InputSpec) -> dict[str, Any]:
    data = {f.name: getattr(spec, f.name) for f in fields(InputSpec) if f.name not in ("widget", "growth", "variants")}
    if spec.growth is not None:
        data["growth"] = {f.name: getattr(spec.growth, f.name) for f in fields(Growth)}
    if spec.variants:
        data["variants"] = [[item.key, [_input_to_json(part) for part in item.inputs]] for item in spec.variants]
    if spec.widget is not None:
        kind = next(kind for kind, cls in WIDGETS.items() if isinstance(spec.widget, cls))
        data["widget"] = {"kind": kind} | {f.name: _plain(getattr(spec.widget, f.name)) for f in fields(spec.widget)}
    return data


def _input_from_json(data: Mapping[str, Any]) -> InputSpec:
    values = dict(data)
    if "widget" in values:
        widget = dict(values["widget"])
        cls = WIDGETS[widget.pop("kind")]
        if cls is FloatWidget:
            widget["min"], widget["max"] = float(widget["min"]), float(widget["max"])
        if cls is ChoiceWidget:
            widget["options"] = tuple(widget["options"])
        values["widget"] = cls(**widget)
    if "growth" in values:
        values["growth"] = Growth(**values["growth"])
    if "variants" in values:
        variants = ((key, map(_input_from_json, inputs)) for key, inputs in values["variants"])
        values["variants"] = tuple(Variant(key, tuple(inputs)) for key, inputs in variants)
    return InputSpec(**values)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if value in (float("inf"), float("-inf")) else value
