"""Schedules that others found by optimisation and published as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.foundation.bounds import within

# Sabour et al. 2024 (Align Your Steps), the ten-step schedules of their project page
ALIGN_YOUR_STEPS: Mapping[str, tuple[float, ...]] = {
    "SD1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "SDXL": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "SVD": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}


def align_your_steps(model: str, steps: int, denoise: float = 1.0) -> list[float]:
    """The published schedule for a family of models, at any number of steps; below 1 `denoise` keeps the last of it."""
    return last_part(ALIGN_YOUR_STEPS[model], steps, denoise)


def last_part(table: Sequence[float], steps: int, denoise: float = 1.0) -> list[float]:
    """A table of sigmas brought to `steps` steps that end in 0, of which the last `steps * denoise` are kept."""
    within("steps", steps, 1)
    within("denoise", denoise, 0.0, 1.0)
    kept = round(steps * denoise)
    return [] if kept == 0 else [*log_linear(table, steps + 1)[-(kept + 1) : -1], 0.0]


def log_linear(sigmas: Sequence[float], count: int) -> list[float]:
    """`count` sigmas along a falling row, their logarithms interpolated linearly; both ends stay."""
    if count == len(sigmas):
        return list(sigmas)
    places = np.linspace(0, len(sigmas) - 1, count)
    return [float(value) for value in np.exp(np.interp(places, np.arange(len(sigmas)), np.log(sigmas)))]
