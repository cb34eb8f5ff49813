"""Rules of guidance that look into the net's attention, or ask it again with attention disturbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.diffusion.combining import Estimates, Rule
from engine.foundation.bounds import within
from engine.foundation.errors import EaselError
from engine.models.nets.unet_patches import AttentionRecord, Unattended

BLUR_REACH = 4  # cells: half of the blur's window of 9 (Hong et al. 2023)
ATTENDED = 1.0  # the mean over all cells, above which a cell counts as attended to


class GuidanceError(EaselError):
    """A kind of guidance that this net or these prompts do not allow."""

    code: ClassVar[str] = "bad_guidance"


@dataclass(frozen=True, slots=True)
class PerturbedAttention(Rule):
    """Away from what the net paints if the tokens in its middle attend only to themselves.

    One more evaluation. Source: Ahn et al. 2024 (PAG).
    """

    scale: float = 3.0

    def __post_init__(self) -> None:
        within("scale", self.scale, 0.0, 100.0)

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:
        """The result from the combined estimate."""
        if self.scale == 0:
            return guided
        perturbed = estimates.ask(estimates.prompts[0], estimates.x, (Unattended(),))
        return guided + self.scale * (estimates.positive - perturbed)


@dataclass(frozen=True, slots=True)
class SelfAttention(Rule):
    """Away from what the net paints if what it attends to most is blurred.

    Two more evaluations: the map of the attention is that of the negative. Source: Hong et al. 2023 (SAG).
    Raises `GuidanceError` for a net without attention in its middle, and for a negative with areas.
    """

    scale: float = 0.5
    blur_sigma: float = 2.0

    needs_negative: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("scale", self.scale, -2.0, 5.0)
        within("blur_sigma", self.blur_sigma, 0.0, 10.0)

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:
        """The result from the combined estimate."""
        if self.scale == 0 or self.blur_sigma == 0:
            return guided
        record, (_, prompt) = AttentionRecord(), estimates.prompts
        negative = estimates.ask(prompt, estimates.x, (record,))
        mask = _attended(record, estimates.x)
        degraded = negative + mask * (blurred(negative, self.blur_sigma) - negative)
        renoised = estimates.x + estimates.signal * (degraded - negative)
        return guided + self.scale * (degraded - estimates.ask(prompt, renoised))


def _attended(record: AttentionRecord, x: Tensor) -> Tensor:
    """1 `(B, 1, h, w)` where cells of `x` are attended to more than the mean, 0 elsewhere."""
    if sum(map(len, record.maps)) != len(x):  # a call of the net may have had some of the rows only
        one = "this net has no self-attention in its middle" if not record.maps else "the negative has several parts"
        raise GuidanceError(
            "self-attention guidance is not possible here",
            where="input model" if not record.maps else "input negative",
            got=one,
            hint="Use a single negative prompt without areas." if record.maps else "",
        )
    mask = (torch.cat(record.maps)[:, None] > ATTENDED).to(x)
    return F.interpolate(mask, size=x.shape[-2:], mode="nearest")


def blurred(x: Tensor, sigma: float) -> Tensor:
    """`x` `(B, C, h, w)` under a Gaussian of `sigma` cells in a window of nine, mirrored at the edges."""
    for axis in (2, 3):
        reach = min(BLUR_REACH, x.shape[axis] - 1)
        offsets = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
        weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
        weights = weights / weights.sum()
        shape, padding = ((1, 1, -1, 1), (0, 0, reach, reach)) if axis == 2 else ((1, 1, 1, -1), (reach, reach, 0, 0))
        kernel = weights.view(shape).expand(x.shape[1], 1, *weights.view(shape).shape[2:])
        x = F.conv2d(F.pad(x, padding, mode="reflect"), kernel, groups=x.shape[1])
    return x
