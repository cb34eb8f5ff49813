"""Sampling a latent: the rules around a sampler that make it the job a user asked for.

`sample` is a generator too: it yields each evaluation for the driver to compute and returns the latent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.differential import mask_by_sigma
from engine.diffusion.guidance import ClassifierFreeGuidance, Guider, begun, started
from engine.diffusion.parameterisation import NoiseLevels
from engine.diffusion.samplers import SAMPLERS, SamplerSpec
from engine.diffusion.schedules import SCHEDULES
from engine.foundation.bounds import within
from engine.foundation.errors import EaselError
from engine.tensors.noise import BrownianNoise, GaussianNoise, NoiseSource, initial_noise
from engine.tensors.values import Conditioning, Latent, LatentPreview

MOST_STEPS = 10_000
INPAINT_SEED_OFFSET = 41  # so that fresh noise over kept regions is not the noise of the picture

T = TypeVar("T")


class SamplingError(EaselError):
    """A latent that the model cannot sample."""

    code: ClassVar[str] = "bad_latent"


@dataclass(frozen=True, slots=True)
class Steps:
    """Which part of which schedule to run.

    `denoise` below 1 runs the last `steps` of a schedule of `steps / denoise`. `start` and `end` cut the schedule of
    `steps` further; `to_zero` ends a schedule that was cut at 0, so no noise is left over.
    """

    steps: int
    sampler: str = "euler"
    schedule: str = "normal"
    denoise: float = 1.0
    start: int = 0
    end: int | None = None
    to_zero: bool = True

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, MOST_STEPS)
        within("denoise", self.denoise, 0.0, 1.0)

    def sigmas(self, levels: NoiseLevels) -> list[float]:
        """The sigmas to visit, descending; empty or a single one if there is nothing to do.

        Schedules of more steps than there are trained levels repeat some, which count once here.
        """
        if self.denoise <= 0:
            return []
        if self.denoise > 0.9999:
            sigmas = self._whole(levels, self.steps)
        else:
            sigmas = self._whole(levels, int(self.steps / self.denoise))[-(self.steps + 1) :]
        if self.end is not None and self.end < len(sigmas) - 1:
            sigmas = sigmas[: self.end + 1]
            if self.to_zero:
                sigmas = [*sigmas[:-1], 0.0]
        return list(dict.fromkeys(sigmas[self.start :]))

    def _whole(self, levels: NoiseLevels, steps: int) -> list[float]:
        schedule = SCHEDULES[self.schedule]
        if SAMPLERS[self.sampler].drops_second_last:
            sigmas = schedule(levels, steps + 1)
            return [*sigmas[:-2], sigmas[-1]]
        return schedule(levels, steps)


@dataclass(slots=True, eq=False)
class Evaluation:
    """One evaluation of the guided net on scaled latents, for the driver to compute."""

    guidance: Guider
    x: Tensor
    sigma: float
    step: int
    total: int
    inpaint: Inpaint | None = None
    both: bool = False
    variance: bool = False
    _estimate: Tensor | None = field(default=None, init=False)

    def compute(self) -> Tensor:
        """The denoised estimate `(B, C, h, w)`, scaled; if `both` or `variance`, `(2, B, C, h, w)`, see `Evaluate`.

        Rules of guidance that remember put that behind the estimates: `(1 or 2 and their number, B, C, h, w)`.
        """
        x = self.x if self.inpaint is None else self.inpaint.before(self.x, self.sigma)
        asked = self.guidance
        variance: tuple[Tensor, ...] = ()
        estimates: tuple[Tensor, ...]
        if self.variance:
            estimate, learned = asked.denoise_with_variance(x, self.sigma)
            estimates, variance = (estimate,), (learned,)
        else:
            estimates = asked.denoise_both(x, self.sigma) if self.both else (asked.denoise(x, self.sigma),)
        if self.inpaint is not None:
            estimates = tuple(self.inpaint.after(estimate, self.sigma) for estimate in estimates)
        self._estimate = estimates[0]
        rules = asked.denoiser.guidance
        rows = [*estimates, *variance, *(rules.remembered(asked.memory, x) if rules.remembering else ())]
        return rows[0] if len(rows) == 1 else torch.stack(rows)

    def estimates(self, answer: Tensor) -> Tensor:
        """What the sampler is sent of an answer; what rules remember is kept for the next evaluation.

        So a run that takes answers from a log knows what the run that wrote it knew.
        """
        rules = self.guidance.denoiser.guidance
        if not rules.remembering:
            return answer
        recalled = rules.recalled(answer, self.guidance.memory)
        return recalled if self.both or self.variance else recalled[0]

    def preview(self) -> LatentPreview | None:
        """The estimate, None before `compute`."""
        if self._estimate is None:
            return None
        latents = self.guidance.denoiser.latents
        return LatentPreview(self._estimate, latents.scale_factor, latents.downscale, latents.to_rgb)


@dataclass(frozen=True, slots=True, eq=False)
class Inpaint:
    """Repaints where `mask` is 1 and keeps `kept` where it is 0, by blending before and after each evaluation.

    `mask` `(B or 1, 1, h, w)`, `kept` and `noise` `(B, C, h, w)`, scaled (Lugmayr et al. 2022, section 4.1, one pass).
    """

    mask: Tensor
    kept: Tensor
    noise: Callable[[], Tensor]
    signal: Callable[[float], float]
    mask_at: Callable[[float], Tensor] | None = None  # the mask by sigma, where it changes on the way

    def drawn(self) -> Inpaint:
        """With the noise for one evaluation, drawn now: whoever takes its answer from a log draws it too."""
        noise = self.noise()
        return replace(self, noise=lambda: noise)

    def before(self, x: Tensor, sigma: float) -> Tensor:
        """`x` with the kept part at its own noise level."""
        mask = self._mask(sigma)
        return x * mask + (self.kept * self.signal(sigma) + sigma * self.noise()) * (1 - mask)

    def after(self, denoised: Tensor, sigma: float) -> Tensor:
        """The estimate with the kept part as it was."""
        mask = self._mask(sigma)
        return denoised * mask + self.kept * (1 - mask)

    def _mask(self, sigma: float) -> Tensor:
        return self.mask if self.mask_at is None else self.mask_at(sigma)


def sample(
    model: Denoiser,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    *,
    seed: int,
    cfg: float,
    steps: Steps,
    add_noise: bool = True,
) -> Generator[Evaluation, Tensor, Latent]:
    """Sample `latent` from the first sigma of `steps` down to the last.

    Noise is drawn for the whole batch from `seed`; without `add_noise` the latent is taken to hold its noise already.
    Raises `SamplingError` for a latent with another number of channels than the model's.
    """
    guider = ClassifierFreeGuidance(model, positive, negative, cfg)
    sigmas = steps.sigmas(model.levels)
    spec = SAMPLERS[steps.sampler]
    result, _ = yield from sample_custom(guider, spec, sigmas, latent, seed=seed, add_noise=add_noise)
    return result


def sample_custom(
    guider: Guider, sampler: SamplerSpec, sigmas: list[float], latent: Latent, *, seed: int, add_noise: bool = True
) -> Generator[Evaluation, Tensor, tuple[Latent, Latent]]:
    """Sample `latent` along `sigmas` with parts chosen freely: the end point, and the last denoised estimate.

    Fewer than two sigmas leave the latent as it is. Raises `SamplingError` for parts that do not go together.
    """
    guider, model = started(guider), guider.denoiser
    latent = _fitted(latent, model)
    if len(sigmas) < 2:
        return latent, latent
    guider = begun(guider, seed, latent)
    _check_fit(sampler, sigmas, latent)
    kept = model.latents.scaled(latent.samples.float())
    noise = initial_noise(kept.shape, seed, latent.batch_index) if add_noise else torch.zeros_like(kept)
    inpaint = _inpaint(latent, kept, noise, seed, sampler, model.prediction.signal)
    if inpaint is not None and model.differential is not None:
        inpaint = replace(inpaint, mask_at=mask_by_sigma(inpaint.mask, sigmas, model.levels, model.differential))
    signal, top = model.prediction.signal(sigmas[0]), _at_top(sigmas[0], model.levels)
    x = kept * signal + noise * model.prediction.spread(sigmas[0], top)
    source = _noise_source(sampler.noise, x, sigmas, seed)
    steps = sampler.begun(x, sigmas, source, mixes=model.prediction.mixes, learned=model.learned_variance)
    denoised = x
    try:
        request = next(steps)
        while True:
            where = request.sigma, request.step, len(sigmas) - 1
            kept_part = None if inpaint is None else inpaint.drawn()
            evaluation = Evaluation(guider, request.x, *where, kept_part, request.both, request.variance)
            answer = evaluation.estimates((yield evaluation))
            denoised = answer[0] if request.stacked else answer
            request = steps.send(answer)
    except StopIteration as stop:
        # a net that mixes picture and noise leaves the picture darker where sampling stops before the end
        share = model.prediction.signal(sigmas[-1]) or 1.0
        return _finished(latent, stop.value / share, model), _finished(latent, denoised, model)


def add_noise(model: Denoiser, latent: Latent, sigmas: list[float], seed: int) -> Latent:
    """`latent` with the noise that lies between the first and the last of `sigmas`, drawn as sampling from `seed` does.

    Without sigmas it stays as it is. Raises `SamplingError` as `sample` does.
    """
    latent = _fitted(latent, model)
    if not sigmas:
        return latent
    spread = abs(sigmas[0] - sigmas[-1]) if len(sigmas) > 1 else sigmas[0]
    share = model.prediction.signal(spread) or 1.0  # sampling takes it off again where picture and noise are mixed
    noise = initial_noise(latent.samples.shape, seed, latent.batch_index)
    noisy = model.latents.scaled(latent.samples.float()) + noise * (spread / share)
    return replace(latent, samples=model.latents.unscaled(noisy), empty=False)


def checked_sigmas(sigmas: Tensor) -> list[float]:
    """Sigmas from outside as numbers. Raises `SamplingError` unless they are finite, not negative and monotone."""
    values: list[float] = sigmas.double().flatten().tolist()
    steps = list(pairwise(values))
    if not all(math.isfinite(value) and value >= 0 for value in values):
        wrong = "a value that is negative or no number"
    elif not (all(a > b for a, b in steps) or all(a < b for a, b in steps)):
        wrong = "values that go up and down"
    elif any(value == 0 for value in values[:-1]):
        wrong = "a zero before the end"
    else:
        return values
    raise SamplingError("these sigmas cannot be sampled", where="input sigmas", got=wrong, expected="a falling row")


def _check_fit(sampler: SamplerSpec, sigmas: list[float], latent: Latent) -> None:
    if sampler.noise is not None and sigmas[0] < sigmas[-1]:
        raise SamplingError(
            "this sampler adds noise of its own and cannot turn a picture into its noise",
            where="input sigmas",
            got="a rising row",
            hint="Take a sampler without noise, such as euler or heun.",
        )
    if sampler.resizes and latent.noise_mask is not None:
        raise SamplingError(
            "this sampler changes the size and cannot keep a masked part",
            where="input latent_image",
            got="a latent with a noise mask",
            hint="Remove the mask or take another sampler.",
        )


def _finished(latent: Latent, x: Tensor, model: Denoiser) -> Latent:
    samples = model.latents.unscaled(x)
    return replace(latent, samples=samples, empty=False, downscale=model.latents.downscale)


def drive(sampling: Generator[Evaluation, Tensor, T], log: Iterable[Tensor] = ()) -> T:
    """Run a sampling to its end. Answers in `log` are used for the first evaluations instead of computing them."""
    answers = iter(log)
    try:
        request = next(sampling)
        while True:
            answer = next(answers, None)
            request = sampling.send(request.compute() if answer is None else answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _fitted(latent: Latent, model: Denoiser) -> Latent:
    """A blank canvas in the model's channels and cells; any other latent must have them already."""
    channels, downscale = model.latents.channels, model.latents.downscale
    batch, own_channels, height, width = latent.samples.shape
    if latent.empty and (own_channels, latent.downscale) != (channels, downscale):
        height, width = (max(1, side * latent.downscale // downscale) for side in (height, width))
        return replace(latent, samples=torch.zeros(batch, channels, height, width), downscale=downscale)
    if own_channels != channels:
        raise SamplingError(
            "this latent is of another model",
            expected=f"{channels} channels",
            got=f"shape {tuple(latent.samples.shape)}",
            hint="Encode the picture with the VAE that belongs to the checkpoint.",
        )
    return latent


def _at_top(sigma: float, levels: NoiseLevels) -> bool:
    return sigma > levels.sigma_max or math.isclose(sigma, levels.sigma_max, rel_tol=1e-5)


def _noise_source(kind: str | None, x: Tensor, sigmas: list[float], seed: int) -> NoiseSource:
    if kind == "brownian":
        return BrownianNoise(x, min(sigma for sigma in sigmas if sigma > 0), max(sigmas), seed)
    return GaussianNoise(x, seed)


def _inpaint(
    latent: Latent, kept: Tensor, noise: Tensor, seed: int, spec: SamplerSpec, signal: Callable[[float], float]
) -> Inpaint | None:
    if latent.noise_mask is None:
        return None
    mask = latent.noise_mask.float().reshape(-1, 1, *latent.noise_mask.shape[-2:])
    mask = F.interpolate(mask, size=kept.shape[-2:], mode="bilinear")
    if len(mask) != len(kept):
        mask = mask.repeat(-(-len(kept) // len(mask)), 1, 1, 1)[: len(kept)]
    if not spec.fresh_inpaint_noise:
        return Inpaint(mask, kept, lambda: noise, signal)
    fresh = GaussianNoise(kept, seed + INPAINT_SEED_OFFSET)
    return Inpaint(mask, kept, lambda: fresh(0.0, 0.0), signal)
