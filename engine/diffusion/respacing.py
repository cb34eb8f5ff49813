"""Timesteps to visit, out of those that a net was trained on: published choices, and even ones.

Sources: Nichol and Dhariwal 2021, section 4 (respacing), Lin et al. 2024, table 2 (the names of even spacings), and the
published configurations of DeepFloyd IF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.diffusion.parameterisation import NoiseLevels
from engine.foundation.bounds import within

# How many timesteps of each of so many about equal sections of the trained ones count, from the first section on.
RESPACINGS: Mapping[str, tuple[int, ...]] = {
    "fast27": (10, 10, 3, 2, 2),
    "smart27": (7, 4, 2, 1, 2, 4, 7),
    "smart50": (10, 6, 4, 3, 2, 2, 3, 4, 6, 10),
    "smart100": (1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 7, 8, 9, 10, 13),
    "smart185": (1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20),
    "super27": (1, 1, 1, 1, 1, 1, 1, 2, 5, 13),
    "super40": (2, 2, 2, 2, 2, 2, 3, 4, 6, 15),
    "super100": (4, 4, 6, 6, 8, 8, 10, 10, 14, 30),
}
SPACINGS = ("linspace", "leading", "trailing")


def respaced(counts: Sequence[int], trained: int = 1000) -> list[int]:
    """Timesteps descending: `counts[i]` of section i, evenly, its first and its last among them (one: the first)."""
    timesteps: list[int] = []
    size, rest = divmod(trained, len(counts))
    start = 0
    for section, count in enumerate(counts):
        length = size + (section < rest)
        within("section", count, 1, length)
        place, stride = 0.0, (length - 1) / max(1, count - 1)
        for _ in range(count):
            timesteps.append(start + round(place))
            place += stride  # added up, as it was when the published nets were trained: rounding depends on it
        start += length
    return timesteps[::-1]


def spaced(steps: int, spacing: str, trained: int = 1000) -> list[int]:
    """`steps` timesteps descending: with both ends (`linspace`), the first (`leading`) or the last (`trailing`)."""
    within("steps", steps, 1, trained)
    match spacing:
        case "leading":
            return [step * (trained // steps) for step in reversed(range(steps))]
        case "trailing":
            return [round(trained - step * (trained / steps)) - 1 for step in range(steps)]
        case _:
            if steps == 1:
                return [trained - 1]
            return [round(step * (trained - 1) / (steps - 1)) for step in reversed(range(steps))]


def at_timesteps(levels: NoiseLevels, timesteps: Sequence[int]) -> list[float]:
    """The sigmas of `timesteps`, and a last one of 0."""
    return [*(levels.sigma(timestep) for timestep in timesteps), 0.0]
