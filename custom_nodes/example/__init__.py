"""An example pack: two nodes that show how a pack is written."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.node import Lazy, Range, node
from engine.tensors.values import Image

Share = Annotated[float, Range(0.0, 1.0, step=0.01)]


@node("ExampleTint", category="example", display_name="Tint (example)")
def tint(image: Image, red: Share = 1.0, green: Share = 1.0, blue: Share = 1.0) -> Image:
    """Multiply each colour channel."""
    return Image(image[..., :3] * torch.tensor([red, green, blue]))


def _wanted(use_first: bool, **_pictures: Image | None) -> list[str]:
    return ["first"] if use_first else ["second"]


@node("ExampleSwitch", category="example", display_name="Switch (example)", demand=_wanted)
def switch(first: Lazy[Image], second: Lazy[Image], use_first: bool = True) -> Image | None:
    """One of two pictures; the other one is never computed."""
    return first if use_first else second
