"""Patches of the transformer nets: blocks that are left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from engine.models.nets.dit import DiT
from engine.models.nets.patches import Call, Patch, Site
from engine.models.nets.pixart import PixArt
from engine.models.nets.uvit import UViT


def block_count(net: nn.Module) -> int:
    """How many transformer blocks follow each other in `net`; 0 for a net of another kind."""
    if isinstance(net, DiT | PixArt):
        return net.config.depth
    return 2 * net.config.depth + 1 if isinstance(net, UViT) else 0


@dataclass(frozen=True, slots=True, eq=False)
class SkippedBlocks(Patch):
    """Blocks, counted from 0, that hand on what they are given while sigma is in `low..high`.

    With `negative_only` just for rows about what not to paint; `rows` `(B, 1, 1)` says which these are in one call.
    Source: Hyung et al. 2024 (spatiotemporal skip guidance); Stability AI 2024 (skip layer guidance of SD 3.5).
    """

    blocks: frozenset[int]
    low: float = 0.0
    high: float = math.inf
    negative_only: bool = False
    rows: Tensor | None = None

    def begun(self, call: Call) -> Patch:
        """The patch with the rows of one call."""
        if not self.negative_only:
            return self
        rows = torch.tensor([row.negative for row in call.rows], device=call.x.device)
        return replace(self, rows=rows[:, None, None])

    def through(self, site: Site, x: Tensor, block: Callable[[Tensor], Tensor]) -> Tensor:
        """The tokens `(B, N, C)` after the block, or before it where it is left out."""
        if site.block not in self.blocks or not self.low <= site.sigma <= self.high:
            return block(x)
        return x if self.rows is None else torch.where(self.rows, x, block(x))
