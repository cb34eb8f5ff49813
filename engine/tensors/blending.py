"""One picture over another: blend modes (W3C Compositing and Blending, level 1) and Porter-Duff composition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

BLEND_MODES = ("normal", "multiply", "screen", "overlay", "soft_light", "difference")
NOTHING = 1e-5  # alpha below which a pixel has no colour


def blended(a: Tensor, b: Tensor, share: float, mode: str) -> Tensor:
    """`a` mixed with `share` of what `mode` makes of `a` and `b`, all in 0..1.

    `difference` is the signed one, `a - b`, as the community's workflows expect; the W3C's is its absolute value.
    """
    return (a * (1 - share) + _mode(a, b, mode) * share).clamp(0, 1)


def _mode(a: Tensor, b: Tensor, mode: str) -> Tensor:
    match mode:
        case "multiply":
            return a * b
        case "screen":
            return 1 - (1 - a) * (1 - b)
        case "overlay":
            return torch.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b))
        case "soft_light":
            light = torch.where(a <= 0.25, ((16 * a - 12) * a + 4) * a, a.clamp(min=0).sqrt())
            return torch.where(b <= 0.5, a - (1 - 2 * b) * a * (1 - a), a + (2 * b - 1) * (light - a))
        case "difference":
            return a - b
        case _:
            return b


Composition: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From source colour and alpha, destination colour and alpha, colours premultiplied, to colour and alpha."""


def composed(
    source: Tensor, source_alpha: Tensor, target: Tensor, target_alpha: Tensor, mode: str
) -> tuple[Tensor, Tensor]:
    """Colour `(B, H, W, C)` and alpha `(B, H, W, 1)` of `source` over `target` (Porter and Duff 1984).

    Colours go in and come out as they are, not multiplied by alpha; where nothing is left the colour is 0.
    """
    colour, alpha = COMPOSITIONS[mode](source * source_alpha, source_alpha, target * target_alpha, target_alpha)
    colour = torch.where(alpha <= NOTHING, torch.zeros_like(colour), colour / alpha.clamp(min=NOTHING))
    return colour.clamp(0, 1), alpha.clamp(0, 1)


def _weights(of_source: Callable[[Tensor], Tensor], of_target: Callable[[Tensor], Tensor]) -> Composition:
    """The twelve operators of the paper: each side weighed by a function of the other's alpha."""

    def compose(s: Tensor, sa: Tensor, t: Tensor, ta: Tensor) -> tuple[Tensor, Tensor]:
        f, g = of_source(ta), of_target(sa)
        return s * f + t * g, sa * f + ta * g

    return compose


def _union(colour: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Composition:
    """Blend modes over the union of both shapes."""
    return lambda s, sa, t, ta: (colour(s, sa, t, ta), sa + ta - sa * ta)


def _overlay(s: Tensor, sa: Tensor, t: Tensor, ta: Tensor) -> Tensor:
    return torch.where(2 * t < ta, 2 * s * t, sa * ta - 2 * (ta - t) * (sa - s))


def _all(alpha: Tensor) -> Tensor:
    return torch.ones_like(alpha)


def _none(alpha: Tensor) -> Tensor:
    return torch.zeros_like(alpha)


def _inside(alpha: Tensor) -> Tensor:
    return alpha


def _outside(alpha: Tensor) -> Tensor:
    return 1 - alpha


COMPOSITIONS: Mapping[str, Composition] = {
    "ADD": lambda s, sa, t, ta: ((s + t).clamp(0, 1), (sa + ta).clamp(0, 1)),
    "CLEAR": _weights(_none, _none),
    "DARKEN": _union(lambda s, sa, t, ta: (1 - ta) * s + (1 - sa) * t + torch.minimum(s, t)),
    "DST": _weights(_none, _all),
    "DST_ATOP": _weights(_outside, _inside),
    "DST_IN": _weights(_none, _inside),
    "DST_OUT": _weights(_none, _outside),
    "DST_OVER": _weights(_outside, _all),
    "LIGHTEN": _union(lambda s, sa, t, ta: (1 - ta) * s + (1 - sa) * t + torch.maximum(s, t)),
    "MULTIPLY": lambda s, sa, t, ta: (s * t, sa * ta),
    "OVERLAY": _union(_overlay),
    "SCREEN": _union(lambda s, _sa, t, _ta: s + t - s * t),
    "SRC": _weights(_all, _none),
    "SRC_ATOP": _weights(_inside, _outside),
    "SRC_IN": _weights(_inside, _none),
    "SRC_OUT": _weights(_outside, _none),
    "SRC_OVER": _weights(_all, _outside),
    "XOR": _weights(_outside, _outside),
}
