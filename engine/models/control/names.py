"""From the names of ControlNets in diffusers' layout to those of the original files."""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.models.diffusers_names import unet_names

_MARK = "controlnet_cond_embedding.conv_in.weight"
_ENDS = {
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
}
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
