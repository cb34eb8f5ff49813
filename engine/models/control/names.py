"""From the names of ControlNets in diffusers' layout to those of the original files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile

from engine.models.detect import Shapes
from engine.models.diffusers_names import unet_names

_MARK = "controlnet_cond_embedding.conv_in.weight"
_ENDS = {
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
}
_HINT = "input_hint_block"
_UNION = re.compile(r"(task_embedding|transformer_layes|spatial_ch_projs|control_add_embedding)")


def controlnet_names(names: Iterable[str]) -> dict[str, str] | None:
    """The original name of each of diffusers' names of a ControlNet; None if these are none of diffusers'."""
    given = list(names)
    if _MARK not in given:
        return None
    hints = [int(name.split(".")[2]) for name in given if name.startswith("controlnet_cond_embedding.blocks.")]
    last = 2 * (max(hints, default=-1) + 2)
    unet = unet_names(name for name in given if not name.startswith("control"))
    return {name: _renamed(name, last, unet) for name in given}


def hint_levels(shapes: Shapes) -> tuple[int, ...]:
    """Channels of each level of the hint net, from tensors in the original names; none if there is no such net.

    A level has two convolutions, each followed by an activation, and the last tensor leads to the UNet's width.
    """
    places = range(0, len(shapes), 4)
    there = takewhile(lambda place: f"{_HINT}.{place + 2}.weight" in shapes, places)
    return tuple(shapes[f"{_HINT}.{place}.weight"][0] for place in there)


def _renamed(name: str, last: int, unet: dict[str, str]) -> str:
    if _UNION.match(name):
        return name
    stem, _, leaf = name.rpartition(".")
    if stem in _ENDS:
        return f"{_ENDS[stem]}.{leaf}"
    parts = stem.split(".")
    if parts[0] == "controlnet_down_blocks":
        return f"zero_convs.{parts[1]}.0.{leaf}"
    if parts[:2] == ["controlnet_cond_embedding", "blocks"]:
        return f"input_hint_block.{2 * (int(parts[2]) + 1)}.{leaf}"
    if parts[:2] == ["controlnet_cond_embedding", "conv_out"]:
        return f"input_hint_block.{last}.{leaf}"
    return unet.get(name, name)
