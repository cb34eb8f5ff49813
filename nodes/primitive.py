"""Single values as nodes."""

from __future__ import annotations

from typing import Annotated

from engine.node import Range, Text, node
from engine.node.annotations import AfterRun

LIMIT = 2**63 - 1


@node("PrimitiveInt", category="utils/primitive", display_name="Int")
def primitive_int(value: Annotated[int, Range(-LIMIT, LIMIT), AfterRun()]) -> int:
    """A whole number."""
    return value


@node("PrimitiveFloat", category="utils/primitive", display_name="Float")
def primitive_float(value: Annotated[float, Range(-LIMIT, LIMIT, step=0.1)]) -> float:
    """A number."""
    return value


@node("PrimitiveString", category="utils/primitive", display_name="String")
def primitive_string(value: str) -> str:
    """A line of text."""
    return value


@node("PrimitiveStringMultiline", category="utils/primitive", display_name="String (Multiline)")
def primitive_text(value: Annotated[str, Text(multiline=True)]) -> str:
    """Several lines of text."""
    return value


@node("PrimitiveBoolean", category="utils/primitive", display_name="Boolean")
def primitive_boolean(value: bool) -> bool:
    """A switch."""
    return value
