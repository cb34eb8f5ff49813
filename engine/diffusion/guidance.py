"""Guidance: which conditionings a sampler's evaluation asks of the net, and how the answers are combined.

Classifier-free guidance (Ho and Salimans 2022): negative + scale * (positive - negative).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.tensors.values import Conditioning, Prompt

MAX_REPEATS = 4


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierFreeGuidance:
    """A denoiser with what it should paint (`positive`) and what not (`negative`), `scale` apart."""

    denoiser: Denoiser
    positive: Conditioning
    negative: Conditioning
    scale: float

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The guided estimate. At scale 1 the negative side has no effect and is not computed."""
        if math.isclose(self.scale, 1.0):
            return _mean(_estimates(self.denoiser, x, sigma, self.positive.prompts))
        prompts = (*self.positive.prompts, *self.negative.prompts)
        estimates = _estimates(self.denoiser, x, sigma, prompts)
        split = len(self.positive.prompts)
        positive, negative = _mean(estimates[:split]), _mean(estimates[split:])
        return negative + self.scale * (positive - negative)


def _mean(estimates: list[Tensor]) -> Tensor:
    return torch.stack(estimates).mean(dim=0) if len(estimates) > 1 else estimates[0]


def _estimates(denoiser: Denoiser, x: Tensor, sigma: float, prompts: tuple[Prompt, ...]) -> list[Tensor]:
    """The estimate for each prompt, in as few calls of the net as their lengths allow."""
    results: dict[int, Tensor] = {}
    for group in _by_length([prompt.tokens.shape[1] for prompt in prompts]):
        length = math.lcm(*(prompts[i].tokens.shape[1] for i in group))
        tokens = torch.cat([_fitted(prompts[i].tokens, len(x), length) for i in group])
        answers = denoiser.denoise(x.repeat(len(group), 1, 1, 1), sigma, tokens)
        results.update(zip(group, torch.split(answers, len(x)), strict=True))
    return [results[i] for i in range(len(prompts))]


def _by_length(lengths: list[int]) -> list[list[int]]:
    """Prompts that may share a call: repeating tokens up to `MAX_REPEATS` times leaves attention as it is."""
    groups: list[list[int]] = []
    for i, length in enumerate(lengths):
        for group in groups:
            together = math.lcm(length, *(lengths[j] for j in group))
            if together <= MAX_REPEATS * min(length, *(lengths[j] for j in group)):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _fitted(tokens: Tensor, batch: int, length: int) -> Tensor:
    """`tokens` repeated to `length` positions and to `batch` rows."""
    rows = tokens.repeat(-(-batch // len(tokens)), length // tokens.shape[1], 1)
    return rows[:batch]
