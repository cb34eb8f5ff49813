"""Guidance: which prompts a sampler's evaluation asks of the net, and how the answers are combined.

How the two sides are combined is a matter of the denoiser's rules (`combining`). Several prompts on one side are
averaged by their weights in each cell (Bar-Tal et al. 2023, MultiDiffusion, equation 5). Prompts that bring the same
adapters along, in the same strengths at this sigma, and are steered by the same controls, share calls of the net.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from engine.diffusion.combining import Estimates, Memory
from engine.diffusion.denoiser import Answer, Denoiser
from engine.diffusion.regions import Region, region
from engine.foundation.bounds import within
from engine.models.adapters.applying import ChangedWeights, FileStack
from engine.models.adapters.hooks import model_stack
from engine.models.nets.patches import Patch
from engine.tensors.rows import Row, Rows
from engine.tensors.values import Conditioning, Control, Latent, Prompt

MAX_REPEATS = 4
NO_WEIGHT = 1e-37  # keeps cells that no prompt is about at zero instead of at NaN


class Guider(Protocol):
    """What a sampler's evaluations go through: a denoiser and everything that it is asked to paint."""

    socket: ClassVar[str] = "GUIDER"

    @property
    def denoiser(self) -> Denoiser:
        """The denoiser that is asked."""
        ...

    @property
    def memory(self) -> Memory:
        """What the denoiser's rules keep between evaluations."""
        ...

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The guided estimate of scaled latents `x` `(B, C, h, w)`."""
        ...

    def denoise_both(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided and the unconditional (negative) estimate, for samplers that tell them apart.

        Rules hold for the first one only.
        """
        ...

    def denoise_with_variance(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided estimate, and what the net learned of the variance for what is to be painted; see `Evaluate`.

        Only for denoisers that have `learned_variance`.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierFreeGuidance:
    """A denoiser with what it should paint (`positive`) and what not (`negative`), `scale` apart."""

    socket: ClassVar[str] = "GUIDER"

    denoiser: Denoiser
    positive: Conditioning
    negative: Conditioning
    scale: float
    memory: Memory = field(default_factory=dict)

    def __post_init__(self) -> None:
        within("cfg", self.scale)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The guided estimate. At scale 1 the negative side is computed only if a rule needs it."""
        return self.denoiser.guidance.guided(self._needed(x, sigma))

    def denoise_with_variance(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided estimate as of `denoise`, and the positive side's variance."""
        sides = self._needed(x, sigma)
        return self.denoiser.guidance.guided(sides), _variance(sides)

    def denoise_both(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided estimate, and the negative one before any rule, which is computed at any scale."""
        sides = self.sides(x, sigma)
        return self.denoiser.guidance.guided(sides), sides.unconditional

    def _needed(self, x: Tensor, sigma: float) -> Estimates:
        both = not math.isclose(self.scale, 1.0) or self.denoiser.guidance.needs_negative
        return self.sides(x, sigma, both=both)

    def sides(self, x: Tensor, sigma: float, *, both: bool = True) -> Estimates:
        """The estimates for the positive and, if `both`, the negative side, before any rule. One that is both is
        computed once.
        """
        model = self.denoiser
        if model.embedded_scale is not None:  # such a net guides itself
            model, both = replace(model, embedded_scale=self.scale), False
        asked = [self.positive, self.negative] if both and self.positive is not self.negative else [self.positive]
        found = answers(model, x, sigma, asked)
        prompts, negative = (self.positive, self.negative), found[-1].estimate if both else None
        return _estimates(model, x, sigma, self.scale, found[0], negative, prompts, self.memory)


@dataclass(frozen=True, slots=True, eq=False)
class DualGuidance:
    """Two prompts: the estimate is led from `negative` to `middle`, and from there to `positive`.

    `nested` guides between the first pair and then from the negative to the result; otherwise both ways are added up.
    """

    socket: ClassVar[str] = "GUIDER"

    denoiser: Denoiser
    positive: Conditioning
    middle: Conditioning
    negative: Conditioning
    positive_scale: float
    middle_scale: float
    nested: bool = False
    memory: Memory = field(default_factory=dict)

    def __post_init__(self) -> None:
        within("cfg_conds", self.positive_scale)
        within("cfg_cond2_negative", self.middle_scale)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The guided estimate (Brooks et al. 2023, equation 3, for the form that adds up).

        The denoiser's rules hold where the negative is combined with another side.
        """
        return self._answered(x, sigma)[0]

    def denoise_both(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided estimate, and the negative one before any rule."""
        guided, sides = self._answered(x, sigma)
        return guided, sides.unconditional

    def denoise_with_variance(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided estimate, and the positive side's variance."""
        guided, sides = self._answered(x, sigma)
        return guided, _variance(sides)

    def _answered(self, x: Tensor, sigma: float) -> tuple[Tensor, Estimates]:
        """The guided estimate, and the sides that the denoiser's rules were told of."""
        found = answers(self.denoiser, x, sigma, [self.positive, self.middle, self.negative])
        positive, middle, negative = (answer.estimate for answer in found)
        led = middle + self.positive_scale * (positive - middle)
        near, prompts = (led, self.positive) if self.nested else (middle, self.middle)
        pair, shown = (prompts, self.negative), replace(found[0], estimate=near)
        sides = _estimates(self.denoiser, x, sigma, self.middle_scale, shown, negative, pair, self.memory)
        guided = self.denoiser.guidance.guided(sides)
        return guided if self.nested else guided + led - middle, sides


def begun(guider: Guider, seed: int, latent: Latent) -> Guider:
    """`guider` for a sampling of `latent` from `seed`: nets that are shown more than noisy latents may need both."""
    if isinstance(guider, ClassifierFreeGuidance | DualGuidance):
        return replace(guider, denoiser=guider.denoiser.begun(seed, latent))
    return guider


def started(guider: Guider) -> Guider:
    """`guider` for one sampling: what its rules keep between evaluations begins empty.

    Weights that are changed for single prompts are kept for this sampling only.
    """
    if isinstance(guider, ClassifierFreeGuidance):
        return replace(guider, memory={}, denoiser=_apart(guider.denoiser, guider.positive, guider.negative))
    if isinstance(guider, DualGuidance):
        sides = (guider.positive, guider.middle, guider.negative)
        return replace(guider, memory={}, denoiser=_apart(guider.denoiser, *sides))
    return guider


def _apart(denoiser: Denoiser, *sides: Conditioning) -> Denoiser:
    hooked = any(prompt.hooks for side in sides for prompt in side.prompts)
    return replace(denoiser, changed=ChangedWeights()) if hooked else denoiser


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """One prompt to be evaluated on its region, for one of the sides, with the adapters and the controls that it brings
    along.
    """

    side: int
    prompt: Prompt
    region: Region
    adapters: FileStack
    controls: tuple[Control, ...]

    def rows(self, x: Tensor, *, negative: bool) -> list[Row]:
        """What the rows of a batch `x` `(B, C, H, W)` are about."""
        canvas, place = (x.shape[-2], x.shape[-1]), (self.region.rows.start, self.region.columns.start)
        tokens = self.prompt.control_tokens
        told = [None] if tokens is None else list(tokens)
        return [Row(sample, canvas, *place, negative, told[sample % len(told)]) for sample in range(len(x))]


def estimates(
    denoiser: Denoiser, x: Tensor, sigma: float, sides: Sequence[Conditioning], *, negative: int | None = None
) -> list[Tensor]:
    """The estimate for each of `sides`, see `answers`."""
    return [answer.estimate for answer in answers(denoiser, x, sigma, sides, negative=negative)]


def answers(
    denoiser: Denoiser, x: Tensor, sigma: float, sides: Sequence[Conditioning], *, negative: int | None = None
) -> list[Answer]:
    """The estimate for each of `sides`, in as few calls of the net as regions and lengths allow.

    `negative` is the place of the side that is not to be painted; None: the last of several.
    """
    if negative is None:
        negative = max(1, len(sides) - 1)
    sides = _shared(sides, negative)
    place = (len(x), x.shape[-2], x.shape[-1], denoiser.latents.downscale)

    def begun(share: float) -> bool:
        return sigma <= denoiser.levels.sigma_at(share)

    def counts(what: Prompt | Control) -> bool:
        return denoiser.levels.sigma_at(what.end) <= sigma <= denoiser.levels.sigma_at(what.start)

    questions = [
        _Question(
            side,
            prompt,
            region(prompt, *place),
            model_stack(prompt.hooks, begun),
            tuple(control for control in prompt.controls if counts(control)),
        )
        for side, conditioning in enumerate(sides)
        for prompt in conditioning.prompts
        if counts(prompt)
    ]
    found: list[tuple[_Question, Answer]] = []
    for group in _grouped(questions, repeating=not denoiser.counts_tokens):
        length = math.lcm(*(question.prompt.tokens.shape[1] for question in group))
        tokens = torch.cat([_fitted(question.prompt.tokens, len(x), length) for question in group])
        parts = torch.cat([question.region.cut(x) for question in group])
        rows = Rows(row for question in group for row in question.rows(x, negative=question.side == negative))
        asked, extras = _asked(denoiser, group[0]), _extras(denoiser, group, x, negative)
        answer = asked.answer(parts, sigma, tokens, rows=rows, **extras)
        found += zip(group, answer.split(len(x)), strict=True)
    return [_averaged(x, [answer for answer in found if answer[0].side == side]) for side in range(len(sides))]


def _asked(denoiser: Denoiser, question: _Question) -> Denoiser:
    """The denoiser with the adapters and the controls of a question, which act before its own patches."""
    steering = tuple(control for control in question.controls if isinstance(control, Patch))
    asked = replace(denoiser, hooked=question.adapters) if question.adapters else denoiser
    return replace(asked, patches=(*steering, *asked.patches)) if steering else asked


def _shared(sides: Sequence[Conditioning], negative: int) -> Sequence[Conditioning]:
    """`sides` with the negative's prompts steered by controls that the others share, if it has none of their kind.

    Only prompts about the whole picture share and take, in turn.
    """
    if negative >= len(sides):
        return sides
    own = {control.kind for prompt in sides[negative].prompts for control in prompt.controls}
    given = [
        tuple(control for control in prompt.controls if control.shared and control.kind not in own)
        for side, conditioning in enumerate(sides)
        for prompt in conditioning.prompts
        if side != negative and prompt.area is None
    ]
    chains = itertools.cycle([chain for chain in given if chain])
    if not any(given):
        return sides
    taking = tuple(
        replace(prompt, controls=(*next(chains), *prompt.controls)) if prompt.area is None else prompt
        for prompt in sides[negative].prompts
    )
    return [*sides[:negative], Conditioning(taking), *sides[negative + 1 :]]


def _extras(denoiser: Denoiser, group: Sequence[_Question], x: Tensor, negative: int) -> dict[str, Tensor]:
    """What the net takes besides latents and tokens, for each of a group of questions."""
    kinds: dict[str, list[Tensor | None]] = {
        "vector": [
            denoiser.extras.vector_for(q.prompt, x, denoiser.latents.downscale, negative=q.side == negative)
            for q in group
        ],
        "channels": [
            None if found is None else q.region.cut(found)
            for q, found in ((q, denoiser.extras.channels_for(q.prompt, x, denoiser.latents)) for q in group)
        ],
    }
    return {
        name: torch.cat([p for p in parts if p is not None]) for name, parts in kinds.items() if parts[0] is not None
    }


def _estimates(
    denoiser: Denoiser,
    x: Tensor,
    sigma: float,
    scale: float,
    positive: Answer,
    negative: Tensor | None,
    prompts: tuple[Conditioning, Conditioning],
    memory: Memory,
) -> Estimates:
    """What rules are told about one evaluation."""

    def ask(conditioning: Conditioning, x: Tensor, patches: tuple[Patch, ...] = ()) -> Tensor:
        patched = replace(denoiser, patches=(*patches, *denoiser.patches)) if patches else denoiser
        (estimate,) = estimates(patched, x, sigma, [conditioning], negative=0 if conditioning is prompts[1] else 1)
        return estimate

    told = (x, sigma, denoiser.prediction.signal(sigma), scale, positive.estimate, negative, prompts, ask, memory)
    return Estimates(*told, positive.variance)


def _variance(sides: Estimates) -> Tensor:
    if sides.variance is None:
        raise ValueError("this net has learned no variance: `Denoiser.learned_variance` says which have")
    return sides.variance


def _averaged(x: Tensor, found: list[tuple[_Question, Answer]]) -> Answer:
    """The answers to the prompts of one side as one."""
    estimate = _average(x, [(question, answer.estimate) for question, answer in found])
    learned = [(question, answer.variance) for question, answer in found if answer.variance is not None]
    return Answer(estimate, _average(x, learned) if learned else None)


def _average(x: Tensor, answers: list[tuple[_Question, Tensor]]) -> Tensor:
    """The mean of answers by their weights; a single one that counts everywhere as it is."""
    if len(answers) == 1 and answers[0][0].region.weight is None:
        return answers[0][1]
    total, weights = torch.zeros_like(x), torch.full_like(x, NO_WEIGHT)
    for question, answer in answers:
        weight = torch.ones(1) if question.region.weight is None else _repeated(question.region.weight, len(x))
        weight = weight.to(x)
        question.region.cut(total).add_(answer * weight)
        question.region.cut(weights).add_(weight)
    return total / weights


def _grouped(questions: Sequence[_Question], *, repeating: bool) -> list[list[_Question]]:
    """Questions that may share a call: the same adapters and controls, regions of one size, and tokens that repeat to
    one length.

    Repeating tokens, `MAX_REPEATS` times at the most, leaves attention as it is; without `repeating`, of some other
    net, only equal lengths share.
    """
    groups: list[list[_Question]] = []
    for question in questions:
        for group in groups:
            lengths = [other.prompt.tokens.shape[1] for other in (*group, question)]
            alike = _size(group[0]) == _size(question) and group[0].adapters == question.adapters
            alike = alike and group[0].controls == question.controls
            alike = alike and group[0].prompt.tokens.shape[-1] == question.prompt.tokens.shape[-1]
            if alike and math.lcm(*lengths) <= (MAX_REPEATS if repeating else 1) * min(lengths):
                group.append(question)
                break
        else:
            groups.append([question])
    return groups


def _size(question: _Question) -> tuple[int, int]:
    rows, columns = question.region.rows, question.region.columns
    return rows.stop - rows.start, columns.stop - columns.start


def _repeated(weight: Tensor, batch: int) -> Tensor:
    """`weight` of one mask as it is, those of several in turn for `batch` rows."""
    return weight if len(weight) == 1 else weight.repeat(-(-batch // len(weight)), 1, 1, 1)[:batch]


def _fitted(tokens: Tensor, batch: int, length: int) -> Tensor:
    """`tokens` repeated to `length` positions and to `batch` rows."""
    rows = tokens.repeat(-(-batch // len(tokens)), length // tokens.shape[1], 1)
    return rows[:batch]
