"""A picture of one's own led back to its noise, and the negative prompts with which guidance finds the way down again.

Source: Mokady et al. 2022 (null-text inversion). The way up is DDIM's, unguided (`samplers.inversion`). On the way
down, guided, every step has a negative prompt of its own, fitted so that the step ends where the way up was; the
weights of the net stay as they are.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from engine.diffusion.combining import CLASSIFIER_FREE
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance, begun, estimates, started
from engine.diffusion.parameterisation import NoiseLevels
from engine.diffusion.samplers import deterministic
from engine.diffusion.samplers.evaluate import Sampler
from engine.diffusion.samplers.inversion import MOST_CORRECTIONS, raised
from engine.diffusion.sampling import Evaluation, sample_custom
from engine.foundation.bounds import within
from engine.foundation.errors import EaselError
from engine.memory.gradients import gradients
from engine.tensors.values import Conditioning, Latent, LatentPreview, Prompt

GROWTH = 2e-5  # how much the tolerance grows a step, in the published code
HALVINGS = 60


class InversionError(EaselError):
    """A picture that cannot be inverted, or prompts with which it cannot."""

    code: ClassVar[str] = "bad_inversion"


@dataclass(frozen=True, slots=True)
class Fit:
    """How to fit the negative prompt of a step: Adam's rate, most of its steps, and the mean error that is enough.

    The error is of latents as the net sees them. The defaults are those of the published code.
    """

    rate: float = 1e-2
    most: int = 10
    enough: float = 1e-5

    def __post_init__(self) -> None:
        within("rate", self.rate, 0.0, 1.0)
        within("iterations", self.most, 0, 1000)
        within("tolerance", self.enough, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Stride:
    """One guided Euler step down from `x` at sigma `high` to `low`, where the way up was at `target`.

    `shown` is the estimate for what to paint, `scale` that of the guidance, and `share` brings latents at `low` to the
    size in which the net sees them.
    """

    x: Tensor
    shown: Tensor
    target: Tensor
    scale: float
    high: float
    low: float
    share: float

    def error(self, negative: Tensor) -> Tensor:
        """The squared error `(B, C, h, w)` of the step's end with an estimate for what not to paint."""
        guided = negative + self.scale * (self.shown - negative)
        reached = guided + (self.x - guided) * (self.low / self.high)
        return ((reached - self.target) * self.share).square()


@dataclass(slots=True, eq=False)
class Slope:
    """The slope of a stride's error over the tokens of its negative prompt, for the driver to compute."""

    model: Denoiser
    prompt: Prompt
    stride: Stride
    step: int
    total: int

    def compute(self) -> Tensor:
        """The slope, flat, and behind it the mean error."""
        with gradients(), self.model.net.lease():
            tokens = self.prompt.tokens.clone().requires_grad_()
            # what was computed without gradients cannot be kept for them
            stride = replace(
                self.stride, **{name: getattr(self.stride, name).clone() for name in ("x", "shown", "target")}
            )
            asked = Conditioning((replace(self.prompt, tokens=tokens),))
            (negative,) = estimates(self.model, stride.x, stride.high, [asked], negative=0)
            error = stride.error(negative)
            (slope,) = torch.autograd.grad(error.sum(), tokens)
        return torch.cat([slope.flatten(), error.detach().mean()[None].to(slope)])

    def preview(self) -> LatentPreview | None:
        """Nothing: the last estimate stays."""
        return None


Fitting: TypeAlias = Generator[Evaluation | Slope, Tensor, tuple[Latent, Conditioning]]


def invert(
    model: Denoiser, positive: Conditioning, latent: Latent, sigmas: Sequence[float], corrections: int = 0
) -> Generator[Evaluation, Tensor, tuple[Latent, list[Tensor]]]:
    """The noise of `latent` at the last of `sigmas` (rising, from 0), and the scaled latents on the way, one a sigma.

    No guidance: with it the way up would not lead to what noise looks like. Raises `InversionError` where there is no
    picture or no way.
    """
    _check(model, latent, sigmas)
    within("corrections", corrections, 0, MOST_CORRECTIONS)
    way: list[Tensor] = []

    def rising(x: Tensor, levels: list[float]) -> Sampler:
        for step, (low, high) in enumerate(pairwise(levels)):
            way.append(x)
            x = yield from raised(x, low, high, step, corrections=corrections, mixes=model.prediction.mixes)
        way.append(x)
        return x

    guider = ClassifierFreeGuidance(model, positive, positive, 1.0)
    noise, _ = yield from sample_custom(guider, deterministic(rising), list(sigmas), latent, seed=0, add_noise=False)
    return noise, way


def null_text(
    model: Denoiser,
    prompts: tuple[Conditioning, Conditioning],
    latent: Latent,
    sigmas: Sequence[float],
    scale: float,
    fit: Fit,
    corrections: int = 0,
) -> Fitting:
    """The noise of one picture, and the negative prompts with which it is painted again at a guidance of `scale`.

    `prompts` are the positive and the negative, from which the fits begin; rules of guidance are left out. Each of the
    prompts that come of it counts for one step of the falling `sigmas`. Raises `InversionError` as `invert` does.
    """
    positive, negative = prompts
    _check_fit(model, negative, latent)
    plain = replace(model, guidance=CLASSIFIER_FREE)
    steps, width = len(sigmas) - 1, max(1, fit.most)
    total = steps * (1 + width)
    noise, way = yield from _numbered(invert(plain, positive, latent, sigmas, corrections), total)
    guider = begun(started(ClassifierFreeGuidance(plain, positive, negative, scale)), 0, latent)
    assert isinstance(guider, ClassifierFreeGuidance)
    prompt, x = negative.prompts[0], way[-1]
    fitted: list[Prompt] = []
    for step, (high, low) in enumerate(pairwise(reversed(sigmas))):
        done = steps + step * width
        shown = yield Evaluation(replace(guider, negative=positive, scale=1.0), x, high, done, total)
        share = 1.0 if model.prediction.mixes else (1 + low * low) ** -0.5
        stride = Stride(x, shown, way[steps - 1 - step], scale, high, low, share)
        own = replace(fit, rate=fit.rate * (1 - step / (2 * steps)), enough=fit.enough + step * GROWTH)
        prompt = yield from _fitted(guider.denoiser, prompt, stride, own, (done, total))
        fitted.append(prompt)
        asked = replace(guider, negative=Conditioning((prompt,)))
        denoised = yield Evaluation(asked, x, high, done + width - 1, total)
        x = denoised + (x - denoised) * (low / high)
    return noise, in_turn(fitted, list(reversed(sigmas)), model.levels)


def in_turn(prompts: Sequence[Prompt], sigmas: Sequence[float], levels: NoiseLevels) -> Conditioning:
    """Prompts that count one after the other, each about its own of the falling `sigmas`."""
    between = [share_of(levels, (high * low) ** 0.5) for high, low in pairwise(sigmas[: len(prompts)])]
    spans = pairwise([0.0, *between, 1.0])
    return Conditioning(tuple(replace(p, start=a, end=b) for p, (a, b) in zip(prompts, spans, strict=True)))


def share_of(levels: NoiseLevels, sigma: float) -> float:
    """The share of a sampling after which `sigma` is reached: the inverse of `NoiseLevels.sigma_at`."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if levels.sigma_at(middle) > sigma else (low, middle)
    return high


def _fitted(
    model: Denoiser, prompt: Prompt, stride: Stride, fit: Fit, numbers: tuple[int, int]
) -> Generator[Slope, Tensor, Prompt]:
    tokens = prompt.tokens.clone().requires_grad_()
    optimiser = torch.optim.Adam([tokens], lr=fit.rate)
    first, total = numbers
    for step in range(fit.most):
        current = replace(prompt, tokens=tokens.detach().clone())
        answer = yield Slope(model, current, stride, first + step, total)
        tokens.grad = answer[:-1].reshape(tokens.shape).to(tokens).clone()
        optimiser.step()
        if float(answer[-1]) < fit.enough:
            break
    return replace(prompt, tokens=tokens.detach())


def _numbered(
    inversion: Generator[Evaluation, Tensor, tuple[Latent, list[Tensor]]], total: int
) -> Generator[Evaluation, Tensor, tuple[Latent, list[Tensor]]]:
    """The same, as the beginning of `total` steps."""
    try:
        request = next(inversion)
        while True:
            request.total = total
            request = inversion.send((yield request))
    except StopIteration as stop:
        found: tuple[Latent, list[Tensor]] = stop.value
        return found


def _check(model: Denoiser, latent: Latent, sigmas: Sequence[float]) -> None:
    if latent.empty:
        raise InversionError(
            "there is no picture to invert",
            where="input latent_image",
            expected="an encoded picture",
            got="a blank canvas",
            hint="Put a VAE Encode node before this one.",
        )
    if latent.noise_mask is not None:
        raise InversionError(
            "a picture cannot be inverted in part", where="input latent_image", got="a latent with a noise mask"
        )
    if len(sigmas) > 1 and model.prediction.signal(sigmas[-1]) == 0:
        raise InversionError(
            "this model's noise has nothing of a picture",
            where="input scheduler",
            expected="a schedule that begins below a noise share of 1",
            got=f"{sigmas[-1]:g}",
        )


def _check_fit(model: Denoiser, negative: Conditioning, latent: Latent) -> None:
    if model.embedded_scale is not None:
        raise InversionError("this model guides itself, so that a negative prompt has no effect", where="input model")
    if len(negative.prompts) != 1:
        raise InversionError(
            "the fit needs one prompt to begin from",
            where="input negative",
            expected="a single prompt",
            got=f"{len(negative.prompts)} prompts",
        )
    if len(latent.samples) != 1:
        raise InversionError(
            "pictures are inverted one at a time",
            where="input latent_image",
            expected="one picture",
            got=f"a batch of {len(latent.samples)}",
        )
