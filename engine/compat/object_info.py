"""Node descriptions in the community's form, as `/object_info` answers them and front ends read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.graph.literals import Files, choices
from engine.graph.spec import (
    MATCHED,
    WIDGETS,
    BooleanWidget,
    ChoiceWidget,
    FloatWidget,
    InputSpec,
    IntWidget,
    NodeSpec,
    StringWidget,
    Widget,
)


def describe(spec: NodeSpec, files: Files) -> dict[str, Any]:
    """The description of a node type; `files(kind)` lists the files that its choices offer now."""
    inputs = sections(spec.inputs, files)
    data: dict[str, Any] = {
        "input": inputs,
        "input_order": {section: list(items) for section, items in inputs.items()},
        "output": [MATCHED if output.match else output.type for output in spec.outputs],
        "output_is_list": [output.is_list for output in spec.outputs],
        "output_name": [output.name for output in spec.outputs],
        "name": spec.id,
        "display_name": spec.display_name or spec.id,
        "description": spec.description,
        "python_module": spec.pack,
        "category": spec.category,
        "output_node": spec.sink,
    }
    if any(output.tooltip for output in spec.outputs):
        data["output_tooltips"] = [output.tooltip for output in spec.outputs]
    if any(output.match for output in spec.outputs):
        data["output_matchtypes"] = [output.match or None for output in spec.outputs]
    return data | {flag: True for flag in ("deprecated", "experimental") if getattr(spec, flag)}


def sections(inputs: Sequence[InputSpec], files: Files) -> dict[str, dict[str, list[Any]]]:
    """The configurations of `inputs` by name, the required ones and (if there are any) the optional ones."""
    required = {item.name: input_config(item, files) for item in inputs if item.required}
    optional = {item.name: input_config(item, files) for item in inputs if not item.required}
    return {"required": required} | ({"optional": optional} if optional else {})


def input_config(item: InputSpec, files: Files) -> list[Any]:
    """`[type, options]` of an input; the type of a choice is the list of what it offers, as every client reads it."""
    widget = item.widget
    type_name: str | Sequence[str] = MATCHED if item.match else item.type
    if isinstance(widget, ChoiceWidget) and not item.variants:
        type_name = list(choices(widget, files))
    options = {} if widget is None else _options(widget)
    if widget is None and item.type in WIDGETS:
        options["forceInput"] = True
    options |= _template(item, files)
    options |= {flag: True for flag in ("lazy", "advanced") if getattr(item, flag)}
    if item.tooltip:
        options["tooltip"] = item.tooltip
    return [type_name, options] if options else [type_name]


def _template(item: InputSpec, files: Files) -> dict[str, Any]:
    """What clients need to know of an input that stands for others, or has the type of others."""
    if item.growth is not None:
        growth = item.growth
        inner = {"required": {growth.prefix: input_config(InputSpec(growth.prefix, growth.type), files)}}
        return {"template": {"input": inner, "prefix": growth.prefix, "min": growth.min, "max": growth.max}}
    if item.variants:
        return {"options": [{"key": one.key, "inputs": sections(one.inputs, files)} for one in item.variants]}
    return {"template": {"template_id": item.match, "allowed_types": item.type}} if item.match else {}


def _options(widget: Widget) -> dict[str, Any]:
    """The options that are set: bounds that mean "no bound" are left out, JSON has no infinity."""
    match widget:
        case IntWidget():
            options: dict[str, Any] = {"default": widget.default}
            for name in ("min", "max", "step"):
                if getattr(widget, name) != getattr(IntWidget(), name):
                    options[name] = getattr(widget, name)
            return options | ({"control_after_generate": True} if widget.control_after_generate else {})
        case FloatWidget():
            bounds = {"min": widget.min, "max": widget.max}
            options = {"default": widget.default}
            options |= {name: value for name, value in bounds.items() if value not in (float("inf"), float("-inf"))}
            return options | {"step": widget.step} | ({} if widget.round is None else {"round": widget.round})
        case StringWidget():
            options = {"default": widget.default, "multiline": widget.multiline}
            return options | ({"dynamicPrompts": True} if widget.dynamic_prompts else {})
        case BooleanWidget():
            return {"default": widget.default}
        case ChoiceWidget():
            options = {} if widget.default is None else {"default": widget.default}
            return options | ({f"{widget.upload}_upload": True} if widget.upload else {})
