"""GITS: few steps placed where the way from noise to picture bends (Chen et al. 2024, arXiv 2405.11326).

The paper samples a trained net finely, asks how far each long Euler step would lead astray, and picks steps by dynamic
programming. What it found for Stable Diffusion is not in the authors' own repository, and elsewhere its licence does
not allow it here. So the ways are those of an analytic model instead: data from a Gaussian whose variances fall by a
power of their rank, as those of natural pictures do, where ways and costs have closed forms. Steps are therefore near
the community's, not equal to them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.published import last_part
from engine.foundation.bounds import within

Numbers: TypeAlias = NDArray[np.floating[Any]]

PLACES = 61  # levels of the fine way, even in the net's time, as in the paper for Stable Diffusion
MOST_STEPS = 20  # searched for; more are laid between these
COMPONENTS = 4 * 64 * 64  # of a latent of 512 pixels, whose variance is 1 on average
FALL = 1.2  # of the variances; with it the first half of the paper's steps for CIFAR-10 comes out


def gits(coeff: float, steps: int, denoise: float = 1.0) -> list[float]:
    """The schedule for Stable Diffusion that ends in 0, of which the last `steps * denoise` steps are kept.

    `coeff` is how much more (above 1) or less each later step's cost counts: above 1, steps gather at low noise.
    """
    within("coeff", coeff, 0.0)
    levels, costs = _stable_diffusion()
    places = cheapest(costs, min(steps, MOST_STEPS), coeff)
    return last_part([float(levels[place]) for place in places], steps, denoise)


def bends(sigmas: Numbers, variances: Numbers) -> Numbers:
    """Cost `(n, n)` of an Euler step between each two of `n` falling levels, for a Gaussian with these variances.

    The cost is by how much further from the straight line between the way's two ends the step arrives than the way
    itself is there. Each component goes as sqrt(variance + sigma^2) times its own normal number, over which distances
    are meant (as root mean squares; with this many components they hardly vary).
    """
    sizes = np.sqrt(variances + sigmas[:, None] ** 2)
    way, slopes = sizes - sizes[0], sigmas[:, None] / sizes
    line = way[-1] / np.linalg.norm(way[-1])
    way, slopes = (vectors - np.outer(vectors @ line, line) for vectors in (way, slopes))
    widths = sigmas[None] - sigmas[:, None]
    squared = (way**2).sum(axis=1)[:, None] + 2 * widths * (way * slopes).sum(axis=1)[:, None]
    squared = squared + widths**2 * (slopes**2).sum(axis=1)[:, None]
    costs: Numbers = np.sqrt(np.maximum(squared, 0)) - np.linalg.norm(way, axis=1)[None]
    return costs


def cheapest(costs: Numbers, steps: int, coeff: float) -> list[int]:
    """Places of `steps` steps from the first level to the last whose costs add up to the least.

    The costs of what follows a step count `coeff` times, so those of step k count coeff^k times.
    """
    last = len(costs) - 1
    ahead = np.where(np.triu(np.ones(costs.shape, dtype=bool), 1), costs, np.inf)
    rest, choices = ahead[:, last], []
    for _ in range(steps - 1):
        totals = ahead + coeff * rest
        choices.append(totals.argmin(axis=1))
        rest = totals.min(axis=1)
    places = [0]
    for choice in reversed(choices):
        places.append(int(choice[places[-1]]))
    return [*places, last]


@lru_cache(maxsize=1)
def _stable_diffusion() -> tuple[Numbers, Numbers]:
    levels = scaled_linear()
    sigmas = np.array([levels.sigma(time) for time in np.linspace(len(levels.sigmas) - 1, 0, PLACES)])
    return sigmas, bends(sigmas, falling(COMPONENTS, 1.0))


def falling(count: int, mean: float, power: float = FALL) -> Numbers:
    """`count` variances that fall by a power of their rank and are `mean` on average."""
    variances = np.arange(1.0, count + 1) ** -power
    scaled: Numbers = variances * (mean / variances.mean())
    return scaled
