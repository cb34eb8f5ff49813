"""The rules of guidance that need nothing but the estimates. Every one treats each sample of a batch by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from engine.diffusion.combining import Combination, Estimates, Rule
from engine.foundation.bounds import within
from engine.tensors.values import Conditioning

NO_DIVISION_BY_ZERO = 1e-8
LARGEST = 1e6  # stands for no bound


@dataclass(frozen=True, slots=True)
class Rescaled(Combination):
    """Guidance brought back to the deviation of the positive, by the share `multiplier` (0..1).

    Source: Lin et al. 2024, section 3.4, where the deviation is that of the predicted v.
    """

    multiplier: float

    def __post_init__(self) -> None:
        within("multiplier", self.multiplier, 0.0, 1.0)

    def combine(self, estimates: Estimates, negative: Tensor) -> Tensor:
        """One estimate from both."""
        guided = Combination.combine(self, estimates, negative)
        if self.multiplier == 0:
            return guided
        own, positive = _velocity(estimates, guided), _velocity(estimates, estimates.positive)
        factor = _deviation(positive) / _deviation(own)
        return _of_velocity(estimates, own * (self.multiplier * factor + (1 - self.multiplier)))


@dataclass(frozen=True, slots=True, eq=False)
class PerpendicularNegative(Combination):
    """Of the negative only what is perpendicular to the positive counts, `scale` times; both are seen from `empty`.

    Source: Armandpour et al. 2023 (Perp-Neg).
    """

    empty: Conditioning
    scale: float = 1.0

    needs_negative: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("neg_scale", self.scale, 0.0, 100.0)

    def combine(self, estimates: Estimates, negative: Tensor) -> Tensor:
        """One estimate from both and a third."""
        neutral = estimates.ask(self.empty, estimates.x)
        positive, away = estimates.positive - neutral, negative - neutral
        parallel, _ = _projected(away, positive)
        return neutral + estimates.scale * (positive - (away - parallel) * self.scale)


@dataclass(frozen=True, slots=True)
class LinearOverFrames(Combination):
    """A scale for each sample of the batch, which are the frames of a video: it grows from `least` to the user's.

    Source: Blattmann et al. 2023 (Stable Video Diffusion), section 4.2.
    """

    least: float = 1.0

    needs_negative: ClassVar[bool] = True  # frames near `least` are guided even where the user's scale is 1

    def __post_init__(self) -> None:
        within("min_cfg", self.least, 0.0, 100.0)

    def combine(self, estimates: Estimates, negative: Tensor) -> Tensor:
        """One estimate from both."""
        shares = self.shares(len(negative)).to(negative).view(-1, 1, 1, 1)
        scale = self.least + shares * (estimates.scale - self.least)
        return negative + scale * (estimates.positive - negative)

    def shares(self, frames: int) -> Tensor:
        """How far each frame's scale is from `least` to the user's, 0..1 `(frames,)`."""
        return torch.linspace(0, 1, frames)


@dataclass(frozen=True, slots=True)
class TriangleOverFrames(LinearOverFrames):
    """A scale that grows to the middle frame and falls again, for orbits (Voleti et al. 2024, SV3D)."""

    def shares(self, frames: int) -> Tensor:
        """How far each frame's scale is from `least` to the user's, 0..1 `(frames,)`."""
        return 1 - (2 * torch.linspace(0, 1, frames) - 1).abs()


@dataclass(frozen=True, slots=True, eq=False)
class FilteredStep(Rule):
    """A filter of latents over the step from negative to positive; without a negative, over the estimate."""

    apply: Callable[[Tensor], Tensor]

    def before(self, estimates: Estimates, negative: Tensor) -> Estimates:
        """The estimates to combine."""
        return replace(estimates, positive=negative + self.apply(estimates.positive - negative))

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:
        """The result from the combined estimate."""
        return self.apply(guided) if estimates.negative is None else guided


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveProjection(Rule):
    """The step from negative to positive: averaged, cut to a length, and `eta` times as long along the positive.

    `norm_threshold` 0 cuts nothing; `momentum` 0 averages nothing, below 0 it pushes away from earlier steps.
    Source: Sadat et al. 2024 (APG), algorithm 1.
    """

    eta: float = 1.0
    norm_threshold: float = 0.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        within("eta", self.eta, -10.0, 10.0)
        within("norm_threshold", self.norm_threshold, 0.0, 50.0)
        within("momentum", self.momentum, -5.0, 1.0)

    @property
    def remembers(self) -> bool:
        """Whether the step is averaged with earlier ones."""
        return self.momentum != 0

    def before(self, estimates: Estimates, negative: Tensor) -> Estimates:
        """A negative from which plain guidance makes the paper's step."""
        if (self.eta, self.norm_threshold, self.momentum) == (1.0, 0.0, 0.0):
            return estimates
        step = estimates.positive - negative
        if self.momentum:
            step = step + self.momentum * estimates.memory.get(self, torch.zeros_like(step))
            estimates.memory[self] = step
        if self.norm_threshold:
            length = step.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            step = step * (self.norm_threshold / length).clamp(max=1)
        along, across = _projected(step, estimates.positive)
        return replace(estimates, negative=estimates.positive - (across + self.eta * along))


@dataclass(frozen=True, slots=True)
class LengthLimit(Rule):
    """In each cell, the guided vector of channels is made no longer than the positive's, and `strength` times as long.

    Source: the CFG-Norm of OmniGen 2 and HiDream-E1.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        within("strength", self.strength, 0.0, 100.0)

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:
        """The result from the combined estimate."""
        length = guided.norm(dim=1, keepdim=True)
        factor = estimates.positive.norm(dim=1, keepdim=True) / (length + NO_DIVISION_BY_ZERO)
        result: Tensor = guided * factor.clamp(max=1) * self.strength
        return result


@dataclass(frozen=True, slots=True)
class ZeroStar(Rule):
    """The negative's direction is scaled to be the best approximation of the positive's.

    Source: Fan et al. 2025 (CFG-Zero*), without the zero initialisation.
    """

    def before(self, estimates: Estimates, negative: Tensor) -> Estimates:
        """The estimates to combine."""
        positive, own = (estimates.x - side for side in (estimates.positive, negative))
        share = _dot(positive, own) / (_dot(own, own) + NO_DIVISION_BY_ZERO)
        return replace(estimates, negative=estimates.x - share * own)


@dataclass(frozen=True, slots=True)
class TangentialDamping(Rule):
    """Of the negative's direction only the part along what both sides have in common counts.

    Source: Kwon et al. 2025 (TCFG): the first right singular vector of both.
    """

    def before(self, estimates: Estimates, negative: Tensor) -> Estimates:
        """The estimates to combine."""
        positive, own = ((estimates.x - side).flatten(1) for side in (estimates.positive, negative))
        both = torch.stack([positive, own], dim=1)
        common = torch.linalg.svd(both.float() if both.dtype.itemsize < 4 else both, full_matrices=False).Vh[:, 0]
        damped = (own * common).sum(dim=1, keepdim=True) * common
        return replace(estimates, negative=estimates.x - damped.to(negative).view_as(negative))


@dataclass(frozen=True, slots=True)
class EpsilonScaling(Rule):
    """The predicted noise divided by `factor`, against the drift of sampling from training.

    Source: Ning et al. 2024 (exposure bias).
    """

    factor: float

    def __post_init__(self) -> None:
        within("scaling_factor", self.factor, 0.5, 1.5)

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:
        """The result from the combined estimate."""
        return guided if self.factor == 1 else estimates.x - (estimates.x - guided) / self.factor


@dataclass(frozen=True, slots=True)
class TemporalRescaling(Rule):
    """The score times a factor that goes from 1 in noise to `k` at the end: below 1, more variety; above, less.

    `spread` is the deviation of the data. Source: Xu et al. 2025 (temporal score rescaling).
    """

    k: float
    spread: float = 1.0

    def __post_init__(self) -> None:
        within("tsr_k", self.k, 0.01, 100.0)
        within("tsr_sigma", self.spread, 0.01, 100.0)

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:
        """The result from the combined estimate."""
        signal, sigma = estimates.signal, estimates.sigma
        if self.k == 1 or signal == 0:
            return guided
        data, noise = (signal * self.spread) ** 2, sigma**2  # both times sigma squared: finite at sigma 0
        factor = (data + noise) / (data / self.k + noise)
        return factor * guided + (1 - factor) / signal * estimates.x


@dataclass(frozen=True, slots=True)
class StaticThreshold(Rule):
    """Estimates cut to `-bound..bound` (Saharia et al. 2022, section 2.3)."""

    bound: float = 1.0

    def __post_init__(self) -> None:
        within("bound", self.bound, 1e-6)

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:  # noqa: ARG002
        """The result from the combined estimate."""
        return guided.clamp(-self.bound, self.bound)


@dataclass(frozen=True, slots=True)
class DynamicThreshold(Rule):
    """Estimates cut at their own quantile `share` where that is beyond `bound`, and scaled back to `bound`.

    They are cut at `most` at the latest; where that is no more than `bound`, this is `StaticThreshold`.
    Source: Saharia et al. 2022, section 2.3; the maximum is that of the published code of DeepFloyd IF.
    """

    share: float = 0.995
    bound: float = 1.0
    most: float = LARGEST

    def __post_init__(self) -> None:
        within("percentile", self.share, 0.0, 1.0)
        within("bound", self.bound, 1e-6)
        within("maximum", self.most, 1e-6)

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:  # noqa: ARG002
        """The result from the combined estimate."""
        if self.most <= self.bound:
            return guided.clamp(-self.bound, self.bound)
        # one picture at a time: torch finds quantiles of no more than 16 million numbers
        quantiles = torch.stack([torch.quantile(picture.abs(), self.share) for picture in guided.flatten(1)])
        limit = quantiles.clamp(self.bound, self.most).view(-1, 1, 1, 1)
        return torch.minimum(torch.maximum(guided, -limit), limit) * (self.bound / limit)


def _velocity(estimates: Estimates, denoised: Tensor) -> Tensor:
    """The v that gives the estimate `denoised`; for flow, the velocity."""
    x, sigma = estimates.x, estimates.sigma
    if estimates.signal != 1:
        return (x - denoised) / sigma
    return (x / (1 + sigma * sigma) - denoised) * (math.sqrt(1 + sigma * sigma) / sigma)


def _of_velocity(estimates: Estimates, velocity: Tensor) -> Tensor:
    x, sigma = estimates.x, estimates.sigma
    if estimates.signal != 1:
        return x - sigma * velocity
    return x / (1 + sigma * sigma) - velocity * (sigma / math.sqrt(1 + sigma * sigma))


def _deviation(t: Tensor) -> Tensor:
    return t.std(dim=(1, 2, 3), keepdim=True)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products `(B, 1, 1, 1)`."""
    return (a * b).sum(dim=(1, 2, 3), keepdim=True)


def _projected(t: Tensor, onto: Tensor) -> tuple[Tensor, Tensor]:
    """The part of `t` along `onto`, and the rest."""
    square = _dot(onto, onto).clamp(min=torch.finfo(onto.dtype).tiny)
    along = _dot(t, onto) / square * onto
    return along, t - along
