"""The two ways from a picture into noise, as far as samplers must know them.

Noise is added to the picture, `x = picture + sigma * noise`, or the two are mixed, `x = (1 - sigma) * picture +
sigma * noise` (flow models, Liu et al. 2022). The probability flow has the slope (x - denoised) / sigma on both, so a
deterministic sampler is the same on either. One that adds noise of its own, or takes noise out by one estimate and puts
it back by another, has to mind the share of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from torch import Tensor

from engine.diffusion.samplers.evaluate import Sampler, SamplerError, ancestral, noised
from engine.tensors.noise import NoiseSource

Stochastic: TypeAlias = Callable[[Tensor, list[float], NoiseSource], Sampler]

ALMOST_NOISE = 0.9999  # stands for pure noise, where the ratio of noise to picture has no end; the community's value


@dataclass(frozen=True, slots=True)
class Split:
    """A step with fresh noise: down the flow to sigma `down`, times `keep`, and noise of deviation `up` added."""

    down: float
    keep: float
    up: float

    def refreshed(self, x: Tensor, s_noise: float, noise: NoiseSource, sigma: float, sigma_next: float) -> Tensor:
        """`x` at `down` brought to `sigma_next` by fresh noise, `s_noise` times as strong as it should be."""
        x = x if self.keep == 1 else x * self.keep
        return noised(x, s_noise * self.up, noise, sigma, sigma_next)


class Added:
    """Noise is added to the picture."""

    __slots__ = ()

    def split(self, sigma: float, sigma_next: float, eta: float) -> Split:
        """`ancestral`; nothing is to be kept back."""
        down, up = ancestral(sigma, sigma_next, eta)
        return Split(down, 1.0, up)

    def middle(self, sigma: float, target: float) -> float:
        """The sigma half way in the logarithm of the ratio of noise to picture."""
        return math.sqrt(sigma * target)


class Mixed(Added):
    """Picture and noise are mixed; sigma is the share of the noise."""

    __slots__ = ()

    def split(self, sigma: float, sigma_next: float, eta: float) -> Split:
        """The step of Song et al. 2021 (DDIM), equation 12, for these shares of picture and noise.

        Any split with (1 - down) * keep = 1 - sigma_next and (keep * down)^2 + up^2 = sigma_next^2 has the right
        marginals; how far down `eta` leads is the community's choice: at 1, to sigma_next^2 / sigma.
        """
        down = max(0.0, sigma_next * (1 + eta * (sigma_next / sigma - 1)))
        keep = (1 - sigma_next) / (1 - down) if down < 1 else 1.0
        return Split(down, keep, math.sqrt(max(0.0, sigma_next**2 - (keep * down) ** 2)))

    def middle(self, sigma: float, target: float) -> float:
        """As of `Added`. From pure noise there is no half way: it is then next to the start."""
        if sigma >= 1:
            return ALMOST_NOISE
        return share_of(math.sqrt(ratio_of(sigma) * ratio_of(target)))


ADDED, MIXED = Added(), Mixed()


def ratio_of(sigma: float) -> float:
    """The ratio of noise to picture where the share of the noise is `sigma`."""
    return sigma / (1 - sigma) if sigma < 1 else math.inf


def share_of(ratio: float) -> float:
    """The inverse of `ratio_of`."""
    return ratio / (1 + ratio)


def by_ratio(start: Stochastic) -> Stochastic:
    """A sampler for added noise, run where picture and noise are mixed.

    x / (1 - sigma) is the picture with noise of deviation sigma / (1 - sigma) added: the sampler sees that, and
    whoever evaluates sees the mixture. Evaluations are asked for at the very sigmas of the schedule.
    """

    def begun(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
        return _by_ratio(start, x, sigmas, noise)

    return begun


def _by_ratio(start: Stochastic, x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    top = _top(sigmas)
    ratios = [ratio_of(min(sigma, top)) for sigma in sigmas]
    shares = dict(zip(ratios, sigmas, strict=True))

    def share(ratio: float) -> float:
        return shares[ratio] if ratio in shares else share_of(ratio)

    def source(ratio: float, ratio_next: float, shape: Sequence[int] | None = None, /) -> Tensor:
        return noise(share(ratio), share(ratio_next), shape)

    sampler = start(x * (1 + ratios[0]), ratios, source)
    try:
        request = next(sampler)
        while True:
            mixed = request.x / (1 + request.sigma)
            asked = replace(request, x=mixed, sigma=share(request.sigma))
            request = sampler.send((yield asked))
    except StopIteration as stop:
        end: Tensor = stop.value
        return end / (1 + ratios[-1])


def _top(sigmas: Sequence[float]) -> float:
    """What stands for a share of 1: above all others. Raises `SamplerError` for sigmas that are no shares."""
    if max(sigmas) > 1:
        raise SamplerError(
            "this model mixes picture and noise, and sigma is the share of the noise",
            where="input sigmas",
            got=f"{max(sigmas):g}",
            expected="0 to 1",
        )
    others = max((sigma for sigma in sigmas if sigma < 1), default=0.0)
    return ALMOST_NOISE if others < ALMOST_NOISE else (1 + others) / 2
