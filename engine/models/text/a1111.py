"""Prompts in A1111's dialect as conditioning: editing and AND by `editing`, weights and chunks by `emphasis`.

Weights multiply the token states, whose mean is then restored, chunk by chunk. Edits become ranges of the sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.models.text.editing import parts, spans
from engine.models.text.emphasis import Break, chunks, parse
from engine.models.text.encoder import TextEncoder, Token, token_weights
from engine.models.text.prompt import Embedding, Segment, Weighted, words
from engine.tensors.values import Conditioning, Prompt

_TINY = 1e-12


class PromptError(EaselError):
    """A prompt that cannot be painted."""

    code: ClassVar[str] = "bad_prompt"


def encode_a1111(encoder: TextEncoder, text: str, steps: int) -> Conditioning:
    """The prompts of `text` for a sampling of `steps` steps, each `(1, 77 * chunks, D)` with its weight and its range.

    Raises `PromptError` if the weights of the prompts joined by AND add up to 0, and `EmbeddingError`.
    """
    return encoder.through_hooks(lambda plain: _conditioning(plain, text, steps))


def _conditioning(encoder: TextEncoder, text: str, steps: int) -> Conditioning:
    joined = [part for part in parts(text) if part.weight != 0]
    if abs(sum(part.weight for part in joined)) < _TINY:
        raise PromptError(
            "the weights of the prompts joined by AND add up to nothing",
            where="input text",
            got=" ".join(f"{part.weight:g}" for part in joined) or "0",
            hint="Give what is not wanted a smaller weight, or put it into the negative prompt.",
        )
    encoded = cache(lambda reading: _encoded(encoder, reading))
    prompts = []
    for part in joined:
        for span in spans(part.text, steps):
            tokens, pooled = encoded(span.text)
            start, end = share_after(span.start, steps), share_after(span.end, steps)
            prompts.append(Prompt(tokens, pooled, strength=part.weight, start=start, end=end))
    return Conditioning(tuple(prompts))


def share_after(step: int, steps: int) -> float:
    """A share of the sampling that lies after `step` of `steps` and before the next one.

    True for schedules of even timesteps, whether they visit the first timestep (step i at share i / (steps - 1)) or
    leave it out (i / steps); for others it is about that step.
    """
    if step <= 0 or step >= steps:
        return 0.0 if step <= 0 else 1.0
    return ((step - 1) / (steps - 1) + step / steps) / 2


def _encoded(encoder: TextEncoder, text: str) -> tuple[Tensor, Tensor]:
    comma = encoder.tokenizer.encode(",")[0]
    length = encoder.recipe.length
    laid = chunks(_groups(encoder, parse(text)), lambda token: isinstance(token, int) and token == comma, length - 2)
    states, pooled = encoder.states([[token.token for token in chunk] for chunk in laid])
    states = mean_restored(states, token_weights(laid, length)).reshape(1, -1, states.shape[-1])
    if encoder.second is None:
        return states, pooled[:1]
    second, pooled = _encoded(encoder.second, text)
    count = min(states.shape[1], second.shape[1])  # embeddings may have more vectors for one tower than for the other
    return torch.cat([states[:, :count], second[:, :count]], dim=-1), pooled


def mean_restored(states: Tensor, weights: Tensor) -> Tensor:
    """States `(B, T, D)` times weights `(B, T, 1)`, scaled so that each row of the batch keeps its mean."""
    weighted = states * weights
    before, after = states.mean(dim=(1, 2), keepdim=True), weighted.mean(dim=(1, 2), keepdim=True)
    return torch.where(after.abs() > _TINY, weighted * (before / after), weighted)


def _groups(encoder: TextEncoder, runs: Sequence[Segment | Break]) -> Iterator[list[Weighted[Token]] | Break]:
    """Each token by itself, the vectors of an embedding together."""
    for run in runs:
        if isinstance(run, Break):
            yield run
            continue
        for word in words(run.text):
            if isinstance(word, Embedding):
                yield [Weighted(vector, run.weight) for vector in encoder.vectors(word.name)]
            else:
                tokens: list[Token] = [*encoder.tokenizer.encode(word)]
                yield from ([Weighted(token, run.weight)] for token in tokens)
