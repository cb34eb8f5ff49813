"""How the estimates for what to paint and what not become one: a combination, and rules before and after it.

Rules are frozen values that a denoiser carries. They run in the order in which they were added; of combinations the
last one counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from engine.models.nets.patches import Patch
from engine.tensors.values import Conditioning

Memory = dict[object, Tensor]
"""What rules keep between the evaluations of one sampling, by rule."""


class Ask(Protocol):
    """Another evaluation at the same sigma, with more patches of the net before its own."""

    def __call__(self, conditioning: Conditioning, x: Tensor, patches: tuple[Patch, ...] = ()) -> Tensor:
        """The estimate `(B, C, h, w)` for one conditioning at `x`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """The estimates of one evaluation, `(B, C, h, w)` like `x`.

    `signal` is the factor of the picture in `x`. `negative` is None where it was not computed: at scale 1 it has no
    effect. `ask` evaluates again, for one of `prompts` (what to paint, and what not) or for any other. `variance` is
    what the net learned of it for the positive, which no rule touches; None for most nets.
    """

    x: Tensor
    sigma: float
    signal: float
    scale: float
    positive: Tensor
    negative: Tensor | None
    prompts: tuple[Conditioning, Conditioning]
    ask: Ask
    memory: Memory = field(default_factory=dict)
    variance: Tensor | None = None

    @property
    def unconditional(self) -> Tensor:
        """The negative; where none was computed, the positive, from which it cannot be told apart."""
        return self.positive if self.negative is None else self.negative


class Rule:
    """A change to the estimates before they are combined, or to the result."""

    __slots__ = ()

    needs_negative: ClassVar[bool] = False  # even at scale 1

    @property
    def remembers(self) -> bool:
        """Whether an evaluation depends on those before it, by what the rule keeps in the memory: one tensor like x."""
        return False

    def before(self, estimates: Estimates, negative: Tensor) -> Estimates:  # noqa: ARG002
        """The estimates to combine; not asked where there is no negative."""
        return estimates

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:  # noqa: ARG002
        """The result from the combined estimate."""
        return guided


class Combination:
    """Classifier-free guidance (Ho and Salimans 2022), and what other combinations override."""

    __slots__ = ()

    needs_negative: ClassVar[bool] = False

    def combine(self, estimates: Estimates, negative: Tensor) -> Tensor:
        """One estimate from both."""
        return negative + estimates.scale * (estimates.positive - negative)


@dataclass(frozen=True, slots=True)
class GuidedChannels(Combination):
    """Guidance in the first `count` channels; the others are those of the positive (Peebles and Xie 2022)."""

    count: int

    def combine(self, estimates: Estimates, negative: Tensor) -> Tensor:
        """One estimate from both."""
        guided = Combination.combine(self, estimates, negative)
        return torch.cat([guided[:, : self.count], estimates.positive[:, self.count :]], dim=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything about how a denoiser is guided."""

    combination: Combination = field(default_factory=Combination)
    rules: tuple[Rule, ...] = ()

    @property
    def needs_negative(self) -> bool:
        """Whether the negative has an effect even at scale 1."""
        return self.combination.needs_negative or any(rule.needs_negative for rule in self.rules)

    @property
    def remembering(self) -> tuple[Rule, ...]:
        """The rules that keep something in the memory."""
        return tuple(rule for rule in self.rules if rule.remembers)

    def remembered(self, memory: Memory, x: Tensor) -> list[Tensor]:
        """What rules keep from one evaluation to the next, each like `x`: zeros where nothing is kept yet."""
        return [memory.get(rule, torch.zeros_like(x)) for rule in self.remembering]

    def recalled(self, answer: Tensor, memory: Memory) -> Tensor:
        """The estimates in an answer, `(n, B, C, h, w)`; what rules remember is behind them and goes to `memory`."""
        count = len(answer) - len(self.remembering)
        memory.update(zip(self.remembering, answer[count:], strict=True))
        return answer[:count]

    def with_part(self, part: Rule | Combination) -> Rules:
        """With one more rule, or with another combination."""
        if isinstance(part, Combination):
            return replace(self, combination=part)
        return replace(self, rules=(*self.rules, part))

    def guided(self, estimates: Estimates) -> Tensor:
        """The guided estimate `(B, C, h, w)`."""
        for rule in self.rules:
            if estimates.negative is not None:
                estimates = rule.before(estimates, estimates.negative)
        result = estimates.positive
        if estimates.negative is not None:
            result = self.combination.combine(estimates, estimates.negative)
        for rule in self.rules:
            result = rule.after(estimates, result)
        return result


CLASSIFIER_FREE = Rules()
