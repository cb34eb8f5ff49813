"""Which saved value belongs to which widget of a node.

`widgets_values` is a list in the order of the definition, required inputs first. It also holds values that only the
editor uses: after a seed what becomes of it after a run, after a choice with upload the kind of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.compat.workflow.document import InputSlot, Level, WorkflowNode
from engine.foundation.json import JsonError, JsonValue, parse
from engine.graph.spec import BooleanWidget, ChoiceWidget, InputSpec, IntWidget, NodeSpec, Widget

_CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
_SEEDS = ("seed", "noise_seed")


def widget_values(node: WorkflowNode, spec: NodeSpec | None) -> dict[str, JsonValue]:
    """The value of each widget of `node` by input name, defaults for those the file does not have.

    Values of inputs that another choice would bring are left out: editors keep them for when it is made again. Of a
    node of unknown type (`spec=None`) whatever the file itself gives a name to.
    """
    if spec is None:
        return _by_saved_inputs(node) | dict(node.named)
    ordered = sorted(spec.inputs, key=lambda item: not item.required)
    saved = dict(_by_position([item for item in ordered if item.widget is not None], node.values))
    saved |= {name: value for name, value in node.named.items() if spec.dynamic_inputs or _has_widget(spec, name)}
    given = {name: value for name, value in saved.items() if value is not None}
    widgets = {item.name: item.widget for item in ordered if item.widget is not None}
    for item in ordered:
        if item.widget is not None:
            chosen = item.chosen(given.get(item.name, default_of(item.widget)))
            widgets |= {part.name: part.widget for part in chosen if part.widget is not None}
    waiting = {part.name for item in ordered if item.variants for part in item.parts()} - widgets.keys()
    given = {name: value for name, value in given.items() if name not in waiting}
    defaults = {name: default_of(widget) for name, widget in widgets.items() if name not in given}
    return given | {name: value for name, value in defaults.items() if value is not None}


def default_of(widget: Widget) -> JsonValue:
    """The value that the editor gives a new widget; None for a choice of files, which only the disk knows."""
    if isinstance(widget, ChoiceWidget) and widget.default is None:
        return widget.options[0] if widget.options else None
    return widget.default


def promoted_inputs(subgraphs: Mapping[str, Level], specs: Mapping[str, NodeSpec]) -> dict[str, frozenset[int]]:
    """For each subgraph the numbers of those inputs that lead to a widget inside, at any depth."""
    promoted: dict[str, frozenset[int]] = {}
    for key, level in subgraphs.items():  # a definition stands after those it uses
        starts = {link.id: link.output for link in level.links.values() if link.source == level.input_node}
        linked = ((node, slot) for node in level.nodes.values() for slot in node.inputs if slot.link in starts)
        inner = {kind: _promoted_names(subgraphs[kind], promoted[kind]) for kind in level.kinds() & promoted.keys()}
        promoted[key] = frozenset(
            starts[slot.link]
            for node, slot in linked
            if slot.link is not None and _is_widget(slot, specs.get(node.type), inner.get(node.type))
        )
    return promoted


def promoted_values(node: WorkflowNode, level: Level, promoted: frozenset[int]) -> dict[int, JsonValue]:
    """The values that a subgraph instance holds itself, by the number of the subgraph's input.

    New files list them in the order of the inputs. Old ones list what `proxyWidgets` names, where only the entries of
    the id -1 are the instance's own: the other widgets keep their values inside.
    """
    own = {slot.name for slot in node.inputs if slot.widget}
    numbers = {name: i for i, name in enumerate(level.inputs) if i in promoted or name in own}
    proxies = _proxies(node)
    order = [name if owner == "-1" else None for owner, name in proxies]
    if len(order) != len(node.values):
        order = list(numbers)
    values = dict(zip(order, node.values, strict=False)) | dict(node.named)
    return {numbers[name]: value for name, value in values.items() if name in numbers and value is not None}


def _proxies(node: WorkflowNode) -> list[tuple[str, str]]:
    """Pairs of inner node id and widget name; for a while they were saved as text."""
    listed = node.properties.get("proxyWidgets")
    if isinstance(listed, str):
        try:
            listed = parse(listed)
        except JsonError:
            return []
    rows = [row for row in listed if isinstance(row, list) and len(row) > 1] if isinstance(listed, list) else []
    return [(str(row[0]), row[1]) for row in rows if isinstance(row[0], str | int) and isinstance(row[1], str)]


def _promoted_names(level: Level, numbers: frozenset[int]) -> frozenset[str]:
    return frozenset(name for number, name in enumerate(level.inputs) if number in numbers)


def _is_widget(slot: InputSlot, spec: NodeSpec | None, inner: frozenset[str] | None) -> bool:
    """Whether `slot` belongs to a widget: by its node's spec, by what its subgraph promotes, or as the file says."""
    declared = spec.input(slot.name) if spec is not None else None
    if declared is not None:
        return declared.widget is not None
    return slot.widget or (inner is not None and slot.name in inner)


def _by_position(inputs: Sequence[InputSpec], values: Sequence[JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """Pairs of input name and value; the widgets that a choice brings stand right behind it."""
    at = 0
    waiting = list(reversed(inputs))
    while waiting and at < len(values):
        item = waiting.pop()
        assert item.widget is not None
        yield item.name, values[at]
        waiting += [part for part in item.chosen(values[at]) if part.widget is not None][::-1]
        at += 1
        following = waiting[-1].widget if waiting else None
        if at < len(values) and _is_extra(values[at], item.name, item.widget, following):
            at += 1


def _has_widget(spec: NodeSpec, name: str) -> bool:
    declared = spec.input(name)
    return declared is not None and declared.widget is not None


def _is_extra(value: JsonValue, name: str, widget: Widget, following: Widget | None) -> bool:
    """Whether `value`, which comes after the value of `widget`, is the editor's own.

    Judged by the value as well as by the definition, because files that programs wrote leave the extras out.
    """
    if isinstance(widget, IntWidget) and (widget.control_after_generate or name in _SEEDS):
        if isinstance(value, bool):  # the first files had a switch, randomise or not
            return not isinstance(following, BooleanWidget)
        return value in _CONTROLS
    return isinstance(widget, ChoiceWidget) and widget.upload is not None and value in (widget.upload, "image")


def _by_saved_inputs(node: WorkflowNode) -> dict[str, JsonValue]:
    """By the names of the inputs that belong to widgets, if there is one for each value."""
    names = [slot.name for slot in node.inputs if slot.widget]
    pairs = zip([None, *node.values], node.values, strict=False)
    values = [value for before, value in pairs if not (isinstance(before, int) and value in _CONTROLS)]
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else {}
