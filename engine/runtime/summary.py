"""Values in a few words, for messages: never a whole tensor or a long text."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

MAX_TEXT = 100


def summarise(value: object) -> str:
    """Tensors by shape and type, long texts cut, other objects by the name of their class."""
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, str | int | float | bool | None):
        text = repr(value)
        return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."
    if isinstance(value, list | tuple):
        shown = ", ".join(summarise(item) for item in value[:3])
        return f"[{shown}{', ...' if len(value) > 3 else ''}]"
    return type(value).__name__


def summarise_inputs(inputs: Mapping[str, object]) -> dict[str, str]:
    """Each input in a few words."""
    return {name: summarise(value) for name, value in inputs.items()}
