"""Literals: what a document may write for each kind of widget, and what becomes of it.

Conversion is generous because clients differ (`"4"` for 4, 20 for 20.0); everything that would silently change the
meaning (`"false"` as true, NaN, null) is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from engine.foundation.json import JsonValue
from engine.graph.diagnostics import Code, Fault, Suggest, shortened, shown, shown_choices
from engine.graph.spec import BooleanWidget, ChoiceWidget, FloatWidget, IntWidget, StringWidget, Widget

Files: TypeAlias = Callable[[str], Sequence[str]]
"""The names of the files of a folder kind (`checkpoints`) as they are now."""

_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def convert(value: JsonValue, widget: Widget, files: Files) -> tuple[JsonValue, Fault | None]:
    """`value` as the type of `widget`; ranges and lists are the business of `check`."""
    if isinstance(value, list):
        return value, bad_link(value, f"{_kind(widget)} or a link")
    try:
        return _converted(value, widget, files), None
    except (ValueError, TypeError, OverflowError) as error:
        kind = _kind(widget)
        message = f"the value cannot be read as {kind}"
        extra = {"received_value": value, "exception_message": shortened(str(error))}
        return value, Fault("invalid_input_type", message, shown(value), kind, extra=extra)


def check(value: JsonValue, widget: Widget, files: Files, suggest: Suggest) -> Fault | None:
    """The fault of a converted `value` that is out of the range or the list of `widget`."""
    if isinstance(widget, IntWidget | FloatWidget):
        if not widget.min <= value <= widget.max:
            return _out_of_range(value, widget)
    elif isinstance(widget, ChoiceWidget):
        offered = choices(widget, files)
        if value not in offered:
            return _not_in_list(value, widget, offered, suggest)
    return None


def choices(widget: ChoiceWidget, files: Files) -> Sequence[str]:
    """What `widget` offers now: its options, then the files of its kind."""
    if widget.files is None:
        return widget.options
    return (*widget.options, *files(widget.files)) if widget.options else files(widget.files)


def bad_link(value: JsonValue, expected: str) -> Fault:
    """The fault of a `value` that would have to be a link."""
    return Fault(
        "bad_linked_input",
        "a link is a list of two, the id of a node and the number of its output",
        shown(value),
        expected,
        "A link is written [node id, output number].",
        {"received_value": value},
    )


def _converted(value: JsonValue, widget: Widget, files: Files) -> JsonValue:
    match widget:
        case IntWidget():
            return int(value)
        case FloatWidget():
            return _finite(value)
        case BooleanWidget():
            return _switch(value)
        case StringWidget():
            return _text(value)
        case ChoiceWidget():
            return _portable(_text(value), widget, files)


def _kind(widget: Widget) -> str:
    match widget:
        case IntWidget():
            return "a whole number"
        case FloatWidget():
            return "a finite number"
        case BooleanWidget():
            return "true or false"
        case _:
            return "text"


def _finite(value: JsonValue) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("the number is not finite")
    return number


def _switch(value: JsonValue) -> bool:
    if isinstance(value, bool | int | float):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in _SWITCH:
        return _SWITCH[value.strip().lower()]
    raise ValueError("it says neither true nor false")


def _text(value: JsonValue) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError("only text and numbers can be read as text")


def _portable(value: str, widget: ChoiceWidget, files: Files) -> str:
    """Documents made on Windows write folders with a backslash; the lists have slashes."""
    if widget.files is not None and "\\" in value:
        slashed = value.replace("\\", "/")
        if slashed in files(widget.files):
            return slashed
    return value


def _out_of_range(value: float, widget: IntWidget | FloatWidget) -> Fault:
    low = value < widget.min
    limit = widget.min if low else widget.max
    code: Code = "value_smaller_than_min" if low else "value_bigger_than_max"
    return Fault(
        code,
        f"value {shown(value)} is {'smaller than the minimum' if low else 'bigger than the maximum'} of {limit}",
        shown(value),
        _range(widget),
        extra={"received_value": value},
    )


def _range(widget: IntWidget | FloatWidget) -> str:
    if math.isinf(widget.max):
        return f"at least {widget.min}"
    return f"at most {widget.max}" if math.isinf(widget.min) else f"{widget.min} to {widget.max}"


def _not_in_list(value: str, widget: ChoiceWidget, offered: Sequence[str], suggest: Suggest) -> Fault:
    hint = suggest(value, offered)
    if not hint and widget.files is not None and not offered:
        hint = f"There are no files of the kind {widget.files} yet."
    message = f"{shown(value)} is not in the list"
    return Fault("value_not_in_list", message, shown(value), shown_choices(offered), hint, {"received_value": value})
