"""Sigma tables written once more, from their published definitions, with nothing of the engine.

Run as a module, it writes `tests/data/golden/schedules.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Table = NDArray[np.floating[Any]]
STEPS = (1, 2, 10, 20, 30)
GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "schedules.json"


def trained() -> Table:
    """The levels of Stable Diffusion: Rombach et al. 2022, `beta_schedule: scaled_linear`, 0.00085 to 0.012."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    alphas = np.cumprod(1 - betas)
    return np.sqrt((1 - alphas) / alphas)


LEVELS = trained()
LOW, HIGH = LEVELS[0], LEVELS[-1]


def at(timesteps: Table) -> Table:
    """Sigma between trained timesteps: its logarithm is interpolated."""
    return np.exp(np.interp(timesteps, np.arange(1000), np.log(LEVELS)))


def ramp(steps: int) -> Table:
    return np.linspace(0, 1, steps)


def karras(steps: int) -> Table:
    """Karras et al. 2022, equation 5, rho 7."""
    return (HIGH ** (1 / 7) + ramp(steps) * (LOW ** (1 / 7) - HIGH ** (1 / 7))) ** 7


def exponential(steps: int) -> Table:
    return np.exp(np.log(HIGH) + ramp(steps) * (np.log(LOW) - np.log(HIGH)))


def kl_optimal(steps: int) -> Table:
    """Sabour et al. 2024, theorem 3.1: arctan sigma falls evenly."""
    return np.tan((1 - ramp(steps)) * np.arctan(HIGH) + ramp(steps) * np.arctan(LOW))


def normal(steps: int) -> Table:
    return at(np.linspace(999, 0, steps))


def sgm_uniform(steps: int) -> Table:
    """As `normal` with a step more, of which the last, at timestep 0, is left out."""
    return at(np.linspace(999, 0, steps + 1)[:-1])


def simple(steps: int) -> Table:
    places = np.floor(np.arange(steps) * (1000 / steps)).astype(int)
    return LEVELS[999 - places]


def ddim_uniform(steps: int) -> Table:
    """Song et al. 2021: every (1000 // steps)-th timestep, with the offset of one that Stable Diffusion uses."""
    return LEVELS[np.arange(1, 1000, 1000 // steps)][::-1]


def beta(steps: int) -> Table:
    """Lee et al. 2024: quantiles of Beta(0.6, 0.6), here by the inverse of the incomplete beta function."""
    places = np.rint(betaincinv(0.6, 0.6, 1 - np.arange(steps) / steps) * 999).astype(int)
    return LEVELS[[place for number, place in enumerate(places) if number == 0 or place != places[number - 1]]]


def linear_quadratic(steps: int) -> Table:
    """Polyak et al. 2024 (Movie Gen): the first half linear up to 0.025, then a parabola with the same slope there."""
    if steps == 1:
        return np.array([HIGH])
    half = steps // 2
    slope, rest = 0.025 / half, steps - half
    bend = ((1 - 0.025) - slope * rest) / rest**2
    time = np.arange(steps)
    late = np.maximum(time - half, 0)
    done = np.where(time < half, slope * time, 0.025 + slope * late + bend * late**2)
    return HIGH * (1 - done)


TABLES = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": karras,
    "exponential": exponential,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": kl_optimal,
}


if __name__ == "__main__":
    golden = {f"{name}/{steps}": [*table(steps).tolist(), 0.0] for name, table in TABLES.items() for steps in STEPS}
    GOLDEN.write_text(
        "{\n" + ",\n".join(f'"{key}": {json.dumps(row)}' for key, row in golden.items()) + "\n}\n", "utf-8"
    )
