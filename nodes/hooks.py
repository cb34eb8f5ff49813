"""Conditionings given a mask, a strength, hooks and a part of the sampling at once, alone or in pairs; defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from engine.foundation.errors import EaselError
from engine.models.adapters.hooks import Hooks
from engine.node import Choice, Range, node
from engine.tensors.values import Conditioning, Mask, Prompt

SINGLE = "advanced/hooks/cond single"
PAIR = "advanced/hooks/cond pair"
POSITIVE_NEGATIVE = ["positive", "negative"]

Percent = Annotated[float, Range(0.0, 1.0, step=0.001)]
Strength = Annotated[float, Range(0.0, 10.0, step=0.01)]
Bounds = Annotated[str, Choice("default", "mask bounds")]
Pair = tuple[Conditioning, Conditioning]


@dataclass(frozen=True, slots=True)
class TimestepsRange:
    """A part of the sampling, as shares of it."""

    socket: ClassVar[str] = "TIMESTEPS_RANGE"

    start: float
    end: float


class HookError(EaselError):
    """Something about hooks that cannot be done."""

    code: ClassVar[str] = "bad_hook"


@node(
    "ConditioningTimestepsRange",
    category="advanced/hooks",
    display_name="Timesteps Range",
    outputs=["TIMESTEPS_RANGE", "BEFORE_RANGE", "AFTER_RANGE"],
)
def timesteps_range(
    start_percent: Percent = 0.0, end_percent: Percent = 1.0
) -> tuple[TimestepsRange, TimestepsRange, TimestepsRange]:
    """A part of the sampling, what comes before it, and what after."""
    if start_percent > end_percent:
        raise HookError(
            "the range ends before it starts",
            where="inputs start_percent and end_percent",
            expected=f"an end of {start_percent} or more",
            got=f"{end_percent}",
        )
    before, after = TimestepsRange(0.0, start_percent), TimestepsRange(end_percent, 1.0)
    return TimestepsRange(start_percent, end_percent), before, after


@node("ConditioningSetProperties", category=SINGLE, display_name="Cond Set Props")
def set_properties(
    cond_NEW: Conditioning,  # noqa: N803  # the names of saved workflows
    strength: Strength = 1.0,
    *,
    set_cond_area: Bounds,
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> Conditioning:
    """A conditioning with a strength, a mask and a part of the sampling."""
    return _with_properties(cond_NEW, strength, set_cond_area, mask, timesteps, hooks)


@node("ConditioningSetPropertiesAndCombine", category=SINGLE, display_name="Cond Set Props Combine")
def set_properties_and_combine(
    cond: Conditioning,
    cond_NEW: Conditioning,  # noqa: N803
    strength: Strength = 1.0,
    *,
    set_cond_area: Bounds,
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> Conditioning:
    """The same, beside another conditioning."""
    return _joined(cond, _with_properties(cond_NEW, strength, set_cond_area, mask, timesteps, hooks))


@node("ConditioningSetDefaultCombine", category=SINGLE, display_name="Cond Set Default Combine")
def set_default(
    cond: Conditioning,
    cond_DEFAULT: Conditioning,  # noqa: N803
    hooks: Hooks | None = None,
) -> Conditioning:
    """A conditioning for the cells and the parts of the sampling that the other leaves uncovered."""
    return _with_default(cond, _hooked(cond_DEFAULT, hooks))


@node("PairConditioningCombine", category=PAIR, display_name="Cond Pair Combine", outputs=POSITIVE_NEGATIVE)
def combine_pairs(
    positive_A: Conditioning,  # noqa: N803
    negative_A: Conditioning,  # noqa: N803
    positive_B: Conditioning,  # noqa: N803
    negative_B: Conditioning,  # noqa: N803
) -> tuple[Conditioning, Conditioning]:
    """Two pairs of conditionings at once."""
    return _joined(positive_A, positive_B), _joined(negative_A, negative_B)


@node("PairConditioningSetProperties", category=PAIR, display_name="Cond Pair Set Props", outputs=POSITIVE_NEGATIVE)
def set_pair_properties(
    positive_NEW: Conditioning,  # noqa: N803
    negative_NEW: Conditioning,  # noqa: N803
    strength: Strength = 1.0,
    *,
    set_cond_area: Bounds,
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> tuple[Conditioning, Conditioning]:
    """A pair of conditionings with a strength, a mask and a part of the sampling."""
    options = (strength, set_cond_area, mask, timesteps, hooks)
    return _with_properties(positive_NEW, *options), _with_properties(negative_NEW, *options)


@node(
    "PairConditioningSetPropertiesAndCombine",
    category=PAIR,
    display_name="Cond Pair Set Props Combine",
    outputs=POSITIVE_NEGATIVE,
)
def set_pair_properties_and_combine(
    positive: Conditioning,
    negative: Conditioning,
    positive_NEW: Conditioning,  # noqa: N803
    negative_NEW: Conditioning,  # noqa: N803
    strength: Strength = 1.0,
    *,
    set_cond_area: Bounds,
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> tuple[Conditioning, Conditioning]:
    """The same, beside another pair."""
    options = (strength, set_cond_area, mask, timesteps, hooks)
    added = _with_properties(positive_NEW, *options), _with_properties(negative_NEW, *options)
    return _joined(positive, added[0]), _joined(negative, added[1])


@node(
    "PairConditioningSetDefaultCombine",
    category=PAIR,
    display_name="Cond Pair Set Default Combine",
    outputs=POSITIVE_NEGATIVE,
)
def set_pair_default(
    positive: Conditioning,
    negative: Conditioning,
    positive_DEFAULT: Conditioning,  # noqa: N803
    negative_DEFAULT: Conditioning,  # noqa: N803
    hooks: Hooks | None = None,
) -> tuple[Conditioning, Conditioning]:
    """A pair for what the other pair leaves uncovered."""
    defaults = _hooked(positive_DEFAULT, hooks), _hooked(negative_DEFAULT, hooks)
    return _with_default(positive, defaults[0]), _with_default(negative, defaults[1])


def _joined(first: Conditioning, second: Conditioning) -> Conditioning:
    return Conditioning((*first.prompts, *second.prompts))


def _hooked(conditioning: Conditioning, hooks: Hooks | None) -> Conditioning:
    return Conditioning(tuple((hooks or Hooks()).added_to(prompt) for prompt in conditioning.prompts))


def _with_properties(
    conditioning: Conditioning,
    strength: float,
    bounds: str,
    mask: Mask | None,
    timesteps: TimestepsRange | None,
    hooks: Hooks | None,
) -> Conditioning:
    changes: dict[str, Any] = {"strength": strength}
    if mask is not None:
        plane = mask.reshape(-1, *mask.shape[-2:])
        changes = {"mask": plane, "mask_strength": strength, "mask_bounds": bounds == "mask bounds"}
    if timesteps is not None:
        changes |= {"start": timesteps.start, "end": timesteps.end}
    return _hooked(Conditioning(tuple(replace(prompt, **changes) for prompt in conditioning.prompts)), hooks)


def _with_default(conditioning: Conditioning, default: Conditioning) -> Conditioning:
    filling = (part for prompt in default.prompts for part in _around(prompt, conditioning.prompts))
    return Conditioning((*conditioning.prompts, *filling))


def _around(default: Prompt, others: tuple[Prompt, ...]) -> list[Prompt]:
    """`default` for each part of the sampling in which the same `others` count, giving way to those."""
    bounds = {default.start, default.end, *(bound for other in others for bound in (other.start, other.end))}
    inside = sorted(bound for bound in bounds if default.start <= bound <= default.end)
    return [
        replace(
            default,
            start=start,
            end=end,
            yields_to=tuple(other for other in others if other.start <= start and end <= other.end),
        )
        for start, end in pairwise(inside)
    ]
