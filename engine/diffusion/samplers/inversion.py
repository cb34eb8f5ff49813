"""DDIM inversion: from a picture to the noise that paints it, up the sigmas.

Source: Song et al. 2021 (DDIM), section 4.3; Mokady et al. 2022, equation 3. A step down from `high` to `low` asks the
net at `high`, where the way up has not been yet; it asks there with what it has, brought to the net as a picture of
`low` is (so does diffusers). Each correction asks again with what came of that: the step down from there then comes
back the better (a fixed point; Pan et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler, SamplerError

MOST_CORRECTIONS = 20


def ddim_inversion(x: Tensor, sigmas: list[float], *, corrections: int = 0, mixes: bool = False) -> Sampler:
    """From `x` at `sigmas[0]`, which may be 0, up to the last. `1 + corrections` evaluations a step; deterministic.

    `mixes` says that the model mixes picture and noise: nets then see `x` as it is at every sigma.
    """
    for step, (low, high) in enumerate(pairwise(sigmas)):
        if high <= low:
            raise SamplerError(
                "inversion leads from a picture to noise",
                where="input sigmas",
                expected="a rising row",
                got=f"{low:g} before {high:g}",
            )
        x = yield from raised(x, low, high, step, corrections=corrections, mixes=mixes)
    return x


def raised(
    x: Tensor, low: float, high: float, step: int, *, corrections: int = 0, mixes: bool = False
) -> Generator[Evaluate, Tensor, Tensor]:
    """`x` at sigma `low` brought up to `high`."""
    seen = x if mixes else x * math.sqrt((1 + high**2) / (1 + low**2))
    denoised = yield Evaluate(seen, high, step)
    slope = (seen - denoised) / high
    for _ in range(corrections):
        guess = x + (high - low) * slope
        denoised = yield Evaluate(guess, high, step)
        slope = (guess - denoised) / high
    return x + (high - low) * slope
