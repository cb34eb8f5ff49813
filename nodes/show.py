"""Values shown as text, and choices made of what the user wrote."""

from __future__ import annotations

import json
from typing import Annotated, Any

from torch import Tensor

from engine.node import PLAIN, Choice, NodeContext, node

SHOWN_CHARACTERS = 100_000


def _any_choice(choice: str) -> str | None:  # noqa: ARG001  # declared, so that the list is not held against the value
    return None


@node("PreviewAny", category="utils", display_name="Preview as Text", sink=True)
def preview_any(source: Any, ctx: NodeContext = PLAIN) -> None:
    """Show any value as text."""
    ctx.show(as_text(source)[:SHOWN_CHARACTERS])


@node("CustomCombo", category="utils", display_name="Custom Combo", check=_any_choice)
def custom_combo(choice: Annotated[str, Choice()]) -> str:
    """One of the options that the user wrote into the node."""
    return choice


def as_text(value: object) -> str:
    """Texts as they are, plain data as JSON, tensors by shape, dtype and range, other values by their type."""
    if isinstance(value, str):
        return value
    if isinstance(value, Tensor):
        bounds = f" from {value.min():.6g} to {value.max():.6g}" if value.numel() else ""
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}{bounds}"
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return f"{type(value).__name__}"
