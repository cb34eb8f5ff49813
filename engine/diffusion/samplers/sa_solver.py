"""SA-Solver (Xue et al. 2023, 2309.05019): stochastic Adams methods, a predictor and a corrector, data prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.diffusion.samplers.interpolation import weights
from engine.tensors.noise import NoiseSource

NEGLIGIBLE = 45.0  # exp(-45) of the density is beyond float64; without the cut, quadrature fails where tau is large


@dataclass(frozen=True, slots=True)
class Interval:
    """How much noise at which level: `tau` while sigma is between `low` and `high`, none elsewhere (section 6)."""

    low: float
    high: float
    tau: float = 1.0

    def at(self, sigma: float) -> float:
        """Tau for the step to `sigma`."""
        return self.tau if self.low <= sigma <= self.high else 0.0


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders of predictor and corrector (0: none). `simple` takes the paper's short forms where an order is two.

    `again` evaluates the corrected state too (PECE), so that a step costs two evaluations.
    """

    predictor: int = 3
    corrector: int = 4
    again: bool = False
    simple: bool = False


def middle_of_sampling(start: float = 0.2, end: float = 0.8) -> Interval:
    """Noise between two shares of the sampling, on the levels of Stable Diffusion."""
    levels = scaled_linear()
    return Interval(levels.sigma_at(end), levels.sigma_at(start))


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A step that was predicted, as the corrector needs it: where from, with which tau, and the noise that went in."""

    x: Tensor
    sigma: float
    tau: float
    fresh: Tensor | float


def sa_solver(
    x: Tensor,
    sigmas: list[float],
    noise: NoiseSource | None,
    *,
    interval: Interval | None = None,
    orders: Orders | None = None,
    s_noise: float = 1.0,
) -> Sampler:
    """Algorithm 1 (PEC): one evaluation a step, two with `orders.again`; stochastic. Orders fall towards the end.

    Without noise of order four, with `orders.again` three, as its first steps are of a lower one.
    """
    interval, orders = interval or middle_of_sampling(), orders or Orders()
    steps = len(sigmas) - 1
    ends_clean = sigmas[-1] == 0
    history: list[tuple[float, Tensor]] = []
    last: _Step | None = None
    for step in range(steps):
        sigma, sigma_next = sigmas[step], sigmas[step + 1]
        denoised = yield Evaluate(x, sigma, step)
        history = [*history[1 - max(orders.predictor, orders.corrector, 2) :], (sigma, denoised)]
        left = steps - step if ends_clean else steps
        order = min(orders.corrector, len(history), left)
        if last is not None and order > 0 and (sigma_next > 0 or orders.again):
            x = _move(last.x, history[-order:], (last.sigma, sigma), last.tau, simple=orders.simple) + last.fresh
            if orders.again:
                denoised = yield Evaluate(x, sigma, step)
                history[-1] = (sigma, denoised)
        if sigma_next == 0:
            return denoised
        tau = interval.at(sigma_next)
        order = min(orders.predictor, len(history), left - 1 if ends_clean else left)
        last = _Step(x, sigma, tau, _fresh(noise, sigma, sigma_next, tau, s_noise))
        x = _move(x, history[-order:], (sigma, sigma_next), tau, simple=orders.simple) + last.fresh
    return x


def sa_solver_pece(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """`sa_solver` that evaluates the corrected state too. Two evaluations a step, one in the first; stochastic."""
    return sa_solver(x, sigmas, noise, orders=Orders(again=True))


def _move(
    x: Tensor, used: list[tuple[float, Tensor]], ends: tuple[float, float], tau: float, *, simple: bool
) -> Tensor:
    """The mean of a step between two levels, by the polynomial through the estimates of `used` (equations 14, 17)."""
    sigma, sigma_next = ends
    power = 1 + tau * tau
    width = math.log(sigma / sigma_next)
    places = [math.log(sigma_next / level) for level, _ in used]  # lambda, counted from the end of the step
    if simple and len(used) == 2:
        shares = _simple_weights(places, width, power)
    else:
        start = max(-width, -NEGLIGIBLE / power)
        shares = weights(places, start, 0.0, lambda place: power * np.exp(power * place))
    x = math.exp(-power * width) * x
    for (_, estimate), share in zip(used, shares, strict=True):
        x = x + share * estimate
    return x


def _simple_weights(places: list[float], width: float, power: float) -> list[float]:
    """Weights of order two without the terms of higher order, older first (appendix D)."""
    whole = -math.expm1(-power * width)
    is_corrector = places[-1] == 0
    part = power * width / 2 if is_corrector else whole + power * width**2 / (2 * (places[-1] - places[0]))
    return [whole - part, part]


def _fresh(noise: NoiseSource | None, sigma: float, sigma_next: float, tau: float, s_noise: float) -> Tensor | float:
    amount = s_noise * sigma_next * math.sqrt(-math.expm1(-2 * tau * tau * math.log(sigma / sigma_next)))
    return 0.0 if noise is None or amount == 0 else amount * noise(sigma, sigma_next)
