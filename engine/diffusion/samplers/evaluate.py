"""What a sampler yields, and what it returns.

A sampler is a generator: it yields an `Evaluate` and is sent back the denoised estimate; its return value is the final
latent. Whoever asks for more than that is sent it beside the guided estimate along a new first axis, so that every
answer is one tensor, and logs, batches and drivers need not tell them apart: the unconditional estimate (`both`), or
what the net learned of the variance.

A sampler takes the initial `x` `(B, C, h, w)`, noise of standard deviation `sigmas[0]` included, and the sigmas it is
to visit, descending. Whoever drives it decides how an evaluation is computed.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from torch import Tensor

from engine.foundation.errors import EaselError
from engine.tensors.noise import NoiseSource


@dataclass(frozen=True, slots=True, eq=False)
class Evaluate:
    """A request for the denoised estimate of `x` at `sigma`, in step number `step` (from 0).

    The answer has the shape of `x`; with `both` it is `(2, *x.shape)`: guided, unconditional. With `variance` it is
    `(2, *x.shape)` as well: guided, and what the net says of the variance for what is to be painted, -1..1 between the
    smallest and the largest logarithm that it may have. Nobody asks for both and variance at once.
    """

    x: Tensor
    sigma: float
    step: int
    both: bool = False
    variance: bool = False

    @property
    def stacked(self) -> bool:
        """Whether the answer has a new first axis, with the guided estimate first."""
        return self.both or self.variance


Sampler: TypeAlias = Generator[Evaluate, Tensor, Tensor]


class SamplerError(EaselError):
    """Sigmas or settings that a sampler can do nothing with."""

    code: ClassVar[str] = "bad_sampling"


def ancestral(sigma: float, sigma_next: float, eta: float = 1.0) -> tuple[float, float]:
    """A step from `sigma` split in a way down and fresh noise, `(sigma_down, sigma_up)`.

    sigma_up^2 + sigma_down^2 = sigma_next^2; `eta` 1 is the posterior variance of DDPM (Ho et al. 2020), 0 no noise.
    """
    if eta == 0:
        return sigma_next, 0.0  # also where sigma rises, and the split has no meaning
    # levels that lie as close as numbers do may be out of order by rounding
    up = min(sigma_next, eta * max(0.0, sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5)
    return max(0.0, sigma_next**2 - up**2) ** 0.5, up


def noised(x: Tensor, amount: float, noise: NoiseSource, sigma: float, sigma_next: float) -> Tensor:
    """`x` with fresh noise of standard deviation `amount`, none of which is drawn if that is 0."""
    return x if amount == 0 else x + amount * noise(sigma, sigma_next)
