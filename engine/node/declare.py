"""The `node` decorator: a typed function compiled to a `NodeDefinition`.

The signature is the face of the node. A parameter of a plain type (int, float, str, bool) is a widget, whose default is
the parameter's; any other type is a socket; `T | None = None` is optional; `Lazy[T]` is evaluated on demand; `list[T]`
takes the whole list; a `NodeContext` is injected. The result is one value, a tuple or NamedTuple of values, or None;
`list[T]` there makes each element flow on by itself; the result of a generator is its return value.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from engine.graph.spec import (
    BooleanWidget,
    ChoiceWidget,
    FloatWidget,
    InputSpec,
    IntWidget,
    NodeSpec,
    OutputSpec,
    StringWidget,
    Widget,
)
from engine.graph.subgraph import Expansion
from engine.node.annotations import LAZY, AfterRun, Choice, Files, Omittable, Range, Socket, Text, Tooltip
from engine.node.context import NodeContext
from engine.node.definition import DeclarationError, Demand, NodeDefinition
from engine.tensors.values import Conditioning, Image, Latent, Mask, Sigmas

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "__easel_node__"

_SOCKETS: dict[Any, str] = {
    Image: "IMAGE",
    Mask: "MASK",
    Sigmas: "SIGMAS",
    Latent: "LATENT",
    Conditioning: "CONDITIONING",
    int: "INT",
    float: "FLOAT",
    str: "STRING",
    bool: "BOOLEAN",
    Any: "*",
}


def node(
    node_id: str,
    *,
    category: str = "",
    display_name: str = "",
    version: int = 1,
    sink: bool = False,
    outputs: Sequence[str] = (),
    demand: Demand | None = None,
    fingerprint: Callable[..., object] | None = None,
    check: Callable[..., str | None] | None = None,
    cache: bool = True,
    deprecated: bool = False,
    experimental: bool = False,
    each: Mapping[str, object] | None = None,
) -> Callable[[F], F]:
    """Declare the decorated function as a node and hand it back untouched.

    `version` is part of the key of every result: raise it when the same inputs give another result. `outputs` names the
    outputs (default: their socket types). `each` says which inputs a parameter `**rest` stands for, all of its type,
    with their defaults: inputs may have names, such as `out.`, that parameters cannot have. Raises `DeclarationError`
    for a signature that makes no node.
    """

    def declare(function: F) -> F:
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
        contexts = [name for name in signature.parameters if hints.get(name) is NodeContext]
        inputs = tuple(
            item
            for name, parameter in signature.parameters.items()
            if name not in contexts
            for item in _inputs(node_id, parameter, hints, each or {})
        )
        spec = NodeSpec(
            id=node_id,
            category=category,
            display_name=display_name or node_id,
            description=inspect.getdoc(function) or "",
            version=version,
            inputs=inputs,
            outputs=_outputs(node_id, hints.get("return"), outputs),
            sink=sink,
            cacheable=cache,
            fingerprinted=fingerprint is not None,
            checked=check is not None,
            checked_inputs=tuple(inspect.signature(check).parameters) if check else (),
            deprecated=deprecated,
            experimental=experimental,
            pack=function.__module__,
        )
        lazy = [item.name for item in inputs if item.lazy]
        if bool(lazy) != (demand is not None):
            raise _wrong(node_id, lazy[0] if lazy else "demand", "lazy inputs and demand= belong together")
        context = contexts[0] if contexts else None
        definition = NodeDefinition(spec, function, context, demand, fingerprint, check)
        setattr(function, ATTRIBUTE, definition)
        return function

    return declare


def definition_of(value: object) -> NodeDefinition | None:
    """The definition behind a decorated function, None for anything else."""
    found = getattr(value, ATTRIBUTE, None)
    return found if isinstance(found, NodeDefinition) else None


def _inputs(
    node_id: str, parameter: inspect.Parameter, hints: dict[str, Any], each: Mapping[str, object]
) -> list[InputSpec]:
    """The input that a parameter is, or all that `**rest` stands for."""
    name = parameter.name
    several = parameter.kind is parameter.VAR_KEYWORD and each
    if name not in hints or parameter.kind is parameter.VAR_POSITIONAL:
        raise _wrong(node_id, name, "annotate it with a type")
    if several:
        return [_input(node_id, own, hints[name], default) for own, default in each.items()]
    if parameter.kind is parameter.VAR_KEYWORD:
        raise _wrong(node_id, name, "say with each= which inputs it stands for")
    return [_input(node_id, name, hints[name], parameter.default)]


def _input(node_id: str, name: str, hint: Any, default: Any) -> InputSpec:
    base, marks = _unwrap(hint)
    lazy = LAZY in marks
    base, optional = _without_none(base)
    base, inner_marks = _unwrap(base)
    marks = [*marks, *inner_marks]
    takes_list = get_origin(base) is list
    if takes_list:
        base, inner_marks = _unwrap(get_args(base)[0])
        marks = [*marks, *inner_marks]
    if optional and not lazy and default is not None:
        raise _wrong(node_id, name, "give an optional input the default None")
    if base in (int, float, str, bool) and not any(isinstance(mark, Socket) for mark in marks):
        widget = _widget(node_id, name, base, marks, default)
    elif default is inspect.Parameter.empty or default is None:
        widget = None
    else:
        raise _wrong(node_id, name, "a socket has no default but None")
    kind = "COMBO" if isinstance(widget, ChoiceWidget) else _socket(node_id, name, base, marks)
    tooltip = next((mark.text for mark in marks if isinstance(mark, Tooltip)), "")
    omittable = (optional and default is None) or (widget is not None and Omittable() in marks)
    required = lazy or not omittable
    return InputSpec(name, kind, required, widget, lazy=lazy, takes_list=takes_list, tooltip=tooltip)


def _widget(node_id: str, name: str, base: type, marks: Iterable[Any], default: Any) -> Widget:
    given = default is not inspect.Parameter.empty and default is not None
    by_kind = {type(mark): mark for mark in marks}
    bounds = by_kind.get(Range)
    if base is bool:
        return BooleanWidget(bool(default) if given else False)
    if base is str:
        return _text_widget(by_kind, str(default) if given else None)
    if given and bounds and not bounds.min <= default <= bounds.max:
        raise _wrong(node_id, name, f"its default {default} lies outside {bounds.min} to {bounds.max}")
    if base is int:
        limits = {"min": int(bounds.min), "max": int(bounds.max), "step": int(bounds.step)} if bounds else {}
        start = default if given else max(0, limits.get("min", 0))
        return IntWidget(start, **limits, control_after_generate=AfterRun in by_kind)
    if bounds is None:
        return FloatWidget(float(default) if given else 0.0)
    start = float(default) if given else max(0.0, bounds.min)
    return FloatWidget(start, float(bounds.min), float(bounds.max), float(bounds.step), bounds.round)


def _text_widget(by_kind: dict[type, Any], default: str | None) -> Widget:
    if Choice in by_kind:
        return ChoiceWidget(by_kind[Choice].options, default)
    if Files in by_kind:
        files = by_kind[Files]
        return ChoiceWidget(files.options, default, files.kind, files.upload)
    text = by_kind.get(Text, Text())
    return StringWidget(default or "", text.multiline, text.dynamic_prompts)


def _outputs(node_id: str, hint: Any, names: Sequence[str]) -> tuple[OutputSpec, ...]:
    results = _results(hint)
    outputs = []
    for index, result in enumerate(results):
        base, marks = _unwrap(result)
        is_list = get_origin(base) is list
        if is_list:
            base, marks = _unwrap(get_args(base)[0])
        kind = _socket(node_id, "result", base, marks)
        outputs.append(OutputSpec(names[index] if index < len(names) else kind, kind, is_list))
    if len(names) > len(results):
        raise _wrong(node_id, "outputs", f"{len(names)} names for {len(results)} results")
    return tuple(outputs)


def _results(hint: Any) -> list[Any]:
    """The types of the results: of a generator its return value, of a union the part that is no expansion."""
    base, marks = _unwrap(hint)
    if get_origin(base) is collections.abc.Generator:
        base, marks = _unwrap(get_args(base)[2])
    if get_origin(base) in (Union, types.UnionType):
        kept = [part for part in get_args(base) if part is not Expansion and part is not type(None)]
        if len(kept) == 1:
            base, marks = _unwrap(kept[0])
    if base is None or base is type(None) or base is Expansion:
        return []
    if get_origin(base) is tuple:
        return list(get_args(base))
    if isinstance(base, type) and issubclass(base, tuple) and hasattr(base, "_fields"):
        hints = get_type_hints(base, include_extras=True)
        return [hints[name] for name in base._fields]
    return [Annotated[base, *marks]] if marks else [base]


def _unwrap(hint: Any) -> tuple[Any, list[Any]]:
    marks: list[Any] = []
    while get_origin(hint) is Annotated:
        base, *extra = get_args(hint)
        marks += extra
        hint = base
    return hint, marks


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        if len(parts) == 1 and len(parts) < len(get_args(hint)):
            return parts[0], True
    return hint, False


def _socket(node_id: str, name: str, base: Any, marks: Iterable[Any]) -> str:
    for mark in marks:
        if isinstance(mark, Socket):
            return mark.type
    known = _SOCKETS.get(base) if isinstance(base, collections.abc.Hashable) else None
    socket = known or getattr(base, "socket", None)
    if not isinstance(socket, str):
        raise _wrong(node_id, name, f"{base} has no socket type: give its class `socket`, or annotate with Socket()")
    return socket


def _wrong(node_id: str, name: str, remedy: str) -> DeclarationError:
    return DeclarationError(remedy, where=f"node {node_id}, parameter {name}")
