"""Binding of one node: its links are checked by type, its literals are converted to the type of their widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from engine.foundation.json import JsonValue
from engine.graph.diagnostics import Diagnostic, Fault, Suggest, did_you_mean, shown
from engine.graph.graph import Constant, Link, Node, NodeId, TypedNode
from engine.graph.literals import Files, bad_link, check, convert
from engine.graph.sockets import fits, is_any
from engine.graph.spec import InputSpec, NodeSpec

SourceOf: TypeAlias = Callable[[NodeId], tuple[Node, NodeSpec | None] | None]
"""The node of an id with its spec; a node of unknown type has no spec, an unknown node is None."""


def dependencies(node: Node, spec: NodeSpec | None) -> list[NodeId]:
    """The sources of the links of `node`; a link that its spec does not declare counts for nothing."""
    return [
        item.source
        for name, item in node.inputs.items()
        if isinstance(item, Link) and (spec is None or spec.dynamic_inputs or spec.input(name) is not None)
    ]


def bind_node(
    node: Node,
    spec: NodeSpec,
    source_of: SourceOf,
    files: Files,
    *,
    suggest: Suggest = did_you_mean,
    in_memory: bool = False,
) -> tuple[TypedNode, list[Diagnostic]]:
    """`node` with typed inputs, and its faults: only if there are none may the typed node be used.

    `in_memory` is for nodes made at run time, which may be handed a ready value where a document needs a link.
    """
    constants: dict[str, JsonValue] = {}
    links: dict[str, Link] = {}
    faults: list[Diagnostic] = []
    for declared in _inputs(node, spec):
        item = node.inputs.get(declared.name)
        if isinstance(item, Link):
            links[declared.name] = item
            fault = _linked_choice(item) if declared.variants else _link_fault(item, declared, source_of)
        elif item is None or (item.value is None and not declared.required):
            fault = _missing(declared) if declared.required else None
        elif declared.widget is None:
            constants[declared.name] = item.value
            fault = None if in_memory else _socket_fault(item, declared)
        else:
            constants[declared.name], fault = convert(item.value, declared.widget, files)
            if fault is None and declared.name not in spec.checked_inputs:
                fault = check(constants[declared.name], declared.widget, files, suggest)
        if fault is not None:
            faults.append(fault.at(node, declared.name))
    return TypedNode(node.id, spec, constants, links, node.title), faults


def _inputs(node: Node, spec: NodeSpec) -> Sequence[InputSpec]:
    """The inputs of a node: those of its spec, or what they stand for; all that is given, if it takes any."""
    inputs: list[InputSpec] = []
    for item in spec.inputs:
        if item.growth is not None:
            inputs += (part for part in item.parts() if part.required or part.name in node.inputs)
            continue
        inputs.append(item)
        if item.variants:
            inputs += item.chosen(_key(node, item))
    if not spec.dynamic_inputs:
        return inputs
    declared = {item.name for item in inputs}
    return (*inputs, *(InputSpec(name, "*") for name in node.inputs if name not in declared))


def _key(node: Node, declared: InputSpec) -> JsonValue:
    given = node.inputs.get(declared.name)
    return given.value if isinstance(given, Constant) else None


def _missing(declared: InputSpec) -> Fault:
    if declared.widget is None:
        expected, hint = f"a link to a {declared.type} output", ""
    else:
        expected, hint = f"a value or link of type {declared.type}", ""
    return Fault("required_input_missing", "a required input is missing", "nothing", expected, hint)


def _socket_fault(item: Constant, declared: InputSpec) -> Fault | None:
    """A literal fits an any-typed input only: the values of other sockets exist in memory, not in JSON."""
    if is_any(declared.type):
        return None
    return bad_link(item.value, f"a link to a {declared.type} output")


def _link_fault(link: Link, declared: InputSpec, source_of: SourceOf) -> Fault | None:
    found = source_of(link.source)
    if found is None:
        message = f"it is linked to node {shown(link.source)}, which is not in the graph"
        return Fault("missing_link_source", message, hint="Link it to another node.", extra=_linked(link))
    source, spec = found
    if spec is None:
        return None  # the source has a fault of its own
    place = f"{source.type} {source.id}"
    if not 0 <= link.output < len(spec.outputs):
        names = ", ".join(f"{number} ({output.name})" for number, output in enumerate(spec.outputs))
        return Fault(
            "bad_output_slot",
            f"{place} has no output {link.output}",
            f"output {link.output}",
            f"an output of {place}: {names or 'it has none'}",
            extra=_linked(link),
        )
    given = _given_type(link, source_of)
    if fits(given, declared.type):
        return None
    return Fault(
        "return_type_mismatch",
        f"an output of type {given} does not fit an input of type {declared.type}",
        f"{given} from output {link.output} of {place}",
        declared.type,
        extra={**_linked(link), "received_type": given},
    )


def _given_type(link: Link, source_of: SourceOf) -> str:
    """The type of an output; one that matches inputs of its node has the types of what they are linked to."""
    types: dict[str, None] = {}
    stack, seen = [link], set[Link]()
    while stack:
        link = stack.pop()
        if link in seen:
            continue
        seen.add(link)
        node, spec = source_of(link.source) or (None, None)
        if node is None or spec is None or not 0 <= link.output < len(spec.outputs):
            return "*"  # a fault of its own
        output = spec.outputs[link.output]
        names = [item.name for item in spec.inputs if output.match and item.match == output.match]
        linked = [item for item in map(node.inputs.get, names) if isinstance(item, Link)]
        stack += linked
        if not linked:
            types[output.type] = None
    return ",".join(types) or "*"


def _linked_choice(link: Link) -> Fault:
    return Fault(
        "bad_linked_input",
        "this choice decides which inputs the node has, so it cannot be linked",
        f"a link to output {link.output} of node {link.source}",
        "one of its choices",
        extra=_linked(link),
    )


def _linked(link: Link) -> Mapping[str, JsonValue]:
    return {"linked_node": [link.source, link.output]}
