"""Differential diffusion: the grey of a noise mask says from when on a cell is repainted (Levin and Fried 2023)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from engine.diffusion.parameterisation import NoiseLevels


def mask_by_sigma(mask: Tensor, sigmas: list[float], levels: NoiseLevels, strength: float) -> Callable[[float], Tensor]:
    """The mask `(B, 1, h, w)` at a sigma of a sampling along `sigmas`.

    The threshold falls with the timestep from 1 at the first sigma to 0 at the last; cells whose value reaches it are
    repainted from there on, cells of value 0 never. `strength` below 1 mixes this with the mask itself.
    """
    first, last = levels.timestep(sigmas[0]), levels.timestep(max(sigmas[-1], levels.sigma_min))

    def at(sigma: float) -> Tensor:
        threshold = (levels.timestep(sigma) - last) / ((first - last) or 1)
        repainted = ((mask >= threshold) & (mask > 0)).to(mask)
        return strength * repainted + (1 - strength) * mask

    return at
