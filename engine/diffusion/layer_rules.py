"""Guidance away from what a transformer net paints with some of its blocks left out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.diffusion.combining import Estimates, Rule
from engine.foundation.bounds import within
from engine.models.nets.transformer_patches import SkippedBlocks


@dataclass(frozen=True, slots=True)
class SkippedLayers(Rule):
    """Away from the estimate without `blocks`, `scale` times the difference, while sigma is in `low..high`.

    One more evaluation. The result is brought back to the deviation of the positive by the share `rescaling`. Source:
    Hyung et al. 2024; Stability AI 2024 (skip layer guidance of SD 3.5).
    """

    blocks: frozenset[int]
    scale: float
    low: float
    high: float
    rescaling: float = 0.0

    def __post_init__(self) -> None:
        within("scale", self.scale, 0.0, 10.0)
        within("rescaling_scale", self.rescaling, 0.0, 10.0)

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:
        """The result from the combined estimate."""
        if self.scale == 0 or not self.blocks or not self.low <= estimates.sigma <= self.high:
            return guided
        weak = estimates.ask(estimates.prompts[0], estimates.x, (SkippedBlocks(self.blocks),))
        result = guided + self.scale * (estimates.positive - weak)
        if self.rescaling == 0:
            return result
        factor = _deviation(estimates.positive) / _deviation(result)
        return result * (self.rescaling * factor + 1 - self.rescaling)


def _deviation(x: Tensor) -> Tensor:
    return x.std(dim=(1, 2, 3), keepdim=True)
