"""Mixtures of models: another net's weights as a change of one's own, computed when they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from torch import Tensor

from engine.foundation.errors import EaselError
from engine.memory.handle import ModelHandle
from engine.models.adapters.adapter import Adapter, Stack
from engine.models.adapters.applying import Steps, changed_weight, steps_of
from engine.models.adapters.changes import Change

MOST_MISFITS = 0.05  # of all weights: one more input channel is another variant, more is another family
_SHOWN = 3

Ratios: TypeAlias = Callable[[str], tuple[float, float]]
"""By the name of a weight, what the own weight and the other's are multiplied by."""


class MergeError(EaselError):
    """Models that cannot be mixed."""

    code: ClassVar[str] = "bad_merge"


@dataclass(frozen=True, slots=True, eq=False)
class Mixed(Change):
    """`own * W + other * V`, V another net's weight `source` after `steps`; `holder` has that net."""

    source: Tensor
    steps: Steps
    holder: object
    own: float
    other: float

    def delta(self, weight: Tensor) -> Tensor:
        """What is added to `weight` at strength 1."""
        return self.applied(weight, 1.0) - weight

    def applied(self, weight: Tensor, strength: float) -> Tensor:
        """The mixture; at a `strength` below 1 the way there."""
        value = changed_weight(self.source, self.steps).to(weight)
        return weight * (1 + strength * (self.own - 1)) + value * (strength * self.other)


def mixture(
    one: ModelHandle[Any], other: ModelHandle[Any], stack: Stack, ratios: Ratios
) -> tuple[Adapter, tuple[str, ...]]:
    """The net `other` with its adapters mixed into `one`, and the names of weights that have no like there.

    Raises `MergeError` for nets of different families.
    """
    ours, theirs, steps = one.weights(), other.weights(), steps_of(stack)
    alike = [name for name, weight in ours.items() if name in theirs and theirs[name].shape == weight.shape]
    left = tuple(name for name in {**ours, **theirs} if name not in set(alike))
    if len(left) > MOST_MISFITS * len(ours):
        first = left[0]
        shapes = [tuple(net[first].shape) if first in net else "none" for net in (ours, theirs)]
        raise MergeError(
            "these models are of different families",
            expected=f"weights of the same shapes; {first} is {shapes[0]}",
            got=f"{len(left)} others, {first} is {shapes[1]}",
            hint="Mix models that were made from the same base.",
        )
    changes = {}
    for name in alike:
        own, share = ratios(name)
        if (own, share) != (1.0, 0.0):
            changes[name] = (Mixed(theirs[name], steps.get(name, ()), other, own, share),)
    return Adapter("mixture", changes), left


def by_prefix(shares: Mapping[str, float], default: float) -> Ratios:
    """The share of the own weight, by the longest prefix of its name among `shares`; the rest is the other's."""

    def ratios(name: str) -> tuple[float, float]:
        fitting = [prefix for prefix in shares if name.startswith(prefix)]
        share = shares[max(fitting, key=len)] if fitting else default
        return share, 1.0 - share

    return ratios


def left_over(names: tuple[str, ...]) -> str:
    """What to tell the user about weights that could not be mixed."""
    some = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} weights have no like in the other model and stay as they are: {some}"
