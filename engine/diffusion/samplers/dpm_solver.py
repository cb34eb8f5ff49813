"""DPM-Solver (Lu et al. 2022), single steps of order one to three in the variable t = -log sigma.

Both samplers here choose their own levels between the first and the last sigma above zero, and end at that last one.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise, repeat

import torch
from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler, SamplerError, ancestral, noised
from engine.tensors.noise import NoiseSource

R2 = 2 / 3  # where the third evaluation of a step of order three lies
CLOSE_ENOUGH = 1e-5  # to the end, in t
SMALLEST_STEP = 1e-10  # no tolerance that can be met asks for less


@dataclass(frozen=True, slots=True)
class Control:
    """How `dpm_adaptive` chooses its steps: tolerances, the first step in t, and the coefficients of its controller."""

    order: int = 3
    rtol: float = 0.05
    atol: float = 0.0078
    h_init: float = 0.05
    pcoeff: float = 0.0
    icoeff: float = 1.0
    dcoeff: float = 0.0
    accept_safety: float = 0.81


def dpm_fast(x: Tensor, sigmas: list[float]) -> Sampler:
    """DPM-Solver-fast (section 3.4): even steps in t of order three, the last of order two or one.

    As many evaluations as there are steps in `sigmas`; order two in all; deterministic.
    """
    start, end = _ends(sigmas)
    evaluations = len(sigmas) - 1
    steps = evaluations // 3 + 1
    rest = evaluations % 3
    orders = [3] * (steps - 1) + [rest] if rest else [3] * (steps - 2) + [2, 1]
    times = torch.linspace(start, end, steps + 1, dtype=torch.float64).tolist()
    numbers = count()
    for order, (t, t_next) in zip(orders, pairwise(times), strict=True):
        slopes = yield from _slopes(x, t, t_next, order, numbers)
        x = _solution(x, t, t_next, slopes)
    return x


def dpm_adaptive(
    x: Tensor,
    sigmas: list[float],
    noise: NoiseSource | None = None,
    *,
    control: Control | None = None,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Sampler:
    """DPM-Solver-12 or -23 (appendix C): the difference of two orders is held within a tolerance.

    As many steps as that takes, of `order` evaluations each; deterministic unless `eta` asks for fresh noise. The one
    sampler that waits for the device in its loop: the size of a step depends on numbers that are computed there.
    """
    control = control or Control()
    start, end = _ends(sigmas)
    way = math.copysign(1, end - start)
    if eta and way < 0:
        raise SamplerError("fresh noise cannot be added where sigma rises", where="eta", got=str(eta), expected="0")
    steps = _StepSize(control, way * abs(control.h_init), 1.5 if eta else control.order)
    previous, t = x, start
    while way * (end - t) > CLOSE_ENOUGH:
        t_next = way * min(way * end, way * (t + steps.h))
        sigma, sigma_next = math.exp(-t), math.exp(-t_next)
        down, _ = ancestral(sigma, sigma_next, eta)
        target = way * min(way * end, -way * math.log(down)) if down > 0 else end
        up = math.sqrt(max(0.0, sigma_next**2 - math.exp(-target) ** 2))
        place = min(len(sigmas) - 2, int((len(sigmas) - 1) * (t - start) / (end - start)))
        slopes = yield from _slopes(x, t, target, control.order, repeat(place))
        low = _solution(x, t, target, slopes[:-1], 1 / control.order)
        high = _solution(x, t, target, slopes)
        allowed = torch.clamp(control.rtol * torch.maximum(low.abs(), previous.abs()), min=control.atol)
        error = float(torch.linalg.vector_norm((low - high) / allowed)) / math.sqrt(x.numel())
        if steps.accept(error):
            previous, t = low, t_next
            x = high if noise is None else noised(high, s_noise * up, noise, sigma, sigma_next)
    return x


@dataclass(slots=True)
class _StepSize:
    """The step size of a sampling, by a controller of the proportional, integral and differential kind."""

    control: Control
    h: float
    order: float
    errors: list[float] = field(default_factory=list)

    def accept(self, error: float) -> bool:
        """Whether a step of this error counts. Sets the size of the next one."""
        control = self.control
        inverse = 1 / (error + 1e-8)
        self.errors = [inverse, *(self.errors[1:] or [inverse, inverse])]
        powers = (
            control.pcoeff + control.icoeff + control.dcoeff,
            -control.pcoeff - 2 * control.dcoeff,
            control.dcoeff,
        )
        factor = math.prod(base ** (power / self.order) for base, power in zip(self.errors, powers, strict=True))
        factor = 1 + math.atan(factor - 1)
        self.h *= factor
        if not abs(self.h) > SMALLEST_STEP:
            raise SamplerError(
                "no step is small enough for these tolerances",
                got=f"an error of {error:g} at rtol {control.rtol:g}, atol {control.atol:g}",
                hint="Allow a larger rtol or atol; an error that is no number comes from the model.",
            )
        if factor < control.accept_safety:
            return False
        self.errors = [self.errors[0], *self.errors[:2]]
        return True


def _ends(sigmas: list[float]) -> tuple[float, float]:
    """The first and the last t: that of the last sigma above zero."""
    levels = [sigma for sigma in sigmas if sigma > 0]
    if len(levels) < 2:
        raise SamplerError(
            "this sampler chooses its own levels, and there is no room for any",
            where="sigmas",
            got=f"{len(levels)} above zero",
            expected="two or more",
            hint="Ask for two or more steps, or take another sampler.",
        )
    return -math.log(levels[0]), -math.log(levels[-1])


def _slopes(
    x: Tensor, t: float, t_next: float, order: int, numbers: Iterator[int]
) -> Generator[Evaluate, Tensor, list[Tensor]]:
    """The predicted noise at the levels that a step of `order` asks about (algorithms 1 and 2)."""

    def slope(at: Tensor, time: float) -> Sampler:
        sigma = math.exp(-time)
        denoised = yield Evaluate(at, sigma, next(numbers))
        return (at - denoised) / sigma

    h, r1 = t_next - t, 1 / order
    slopes = [(yield from slope(x, t))]
    if order > 1:
        middle = t + r1 * h
        guess = x - (math.exp(-middle) * math.expm1(r1 * h)) * slopes[0]
        slopes.append((yield from slope(guess, middle)))
    if order > 2:
        middle = t + R2 * h
        growth = math.expm1(R2 * h)
        change = (R2 / r1) * (growth / (R2 * h) - 1) * (slopes[1] - slopes[0])
        guess = x - math.exp(-middle) * (growth * slopes[0] + change)
        slopes.append((yield from slope(guess, middle)))
    return slopes


def _solution(x: Tensor, t: float, t_next: float, slopes: list[Tensor], r1: float = 1 / 2) -> Tensor:
    """The end of a step of as many orders as there are slopes; `r1` is where the second of two lies."""
    h = t_next - t
    growth = math.expm1(h)
    total = growth * slopes[0]
    if len(slopes) == 2:
        total = total + (growth / (2 * r1)) * (slopes[1] - slopes[0])
    elif len(slopes) == 3:
        total = total + ((growth / h - 1) / R2) * (slopes[2] - slopes[0])
    return x - math.exp(-t_next) * total
