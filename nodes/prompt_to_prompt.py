"""Prompt-to-prompt: the same picture from another prompt, painted beside its source from the same noise."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.local_blend import LocalBlend
from engine.models.nets.patches import Patch
from engine.models.nets.prompt_to_prompt import PAIR, Reweighted, SharedAttention, checked_shares
from engine.models.text.alignment import Alignment, AlignmentError, Layout, filled, layout, places_of, refined, replaced
from engine.models.text.encoder import TextEncoder
from engine.node import Fraction, Range, Text, node
from engine.tensors.values import Conditioning, Latent, Prompt

CATEGORY = "sampling/prompt_to_prompt"
OUTPUTS = ["model", "positive", "latent"]

Words = Annotated[str, Text(multiline=True)]


class Edited(NamedTuple):
    """What a sampler takes to paint pairs: each source, and behind it what becomes of it."""

    model: Denoiser
    positive: Conditioning
    latent: Latent


@node("PromptToPromptReplace", category=CATEGORY, display_name="Prompt-to-Prompt (Replace Words)", outputs=OUTPUTS)
def replace_words(
    model: Denoiser,
    clip: TextEncoder,
    latent: Latent,
    source: Words = "",
    target: Words = "",
    cross_share: Fraction = 0.8,
    self_share: Fraction = 0.4,
) -> Edited:
    """Exchange words of a prompt and keep the picture: both prompts have the same number of words.

    For the first `cross_share` of the sampling cells look at the new words where the source's look at the old ones, and
    for the first `self_share` at each other as in the source. Sample with any sampler that adds no noise of its own.
    """
    first, second = layout(clip, source), layout(clip, target)
    return _edited(model, clip, latent, (source, target), replaced(first, second), (cross_share, self_share))


@node("PromptToPromptRefine", category=CATEGORY, display_name="Prompt-to-Prompt (Refine)", outputs=OUTPUTS)
def refine(
    model: Denoiser,
    clip: TextEncoder,
    latent: Latent,
    source: Words = "",
    target: Words = "",
    cross_share: Fraction = 0.8,
    self_share: Fraction = 0.4,
) -> Edited:
    """Add words to a prompt or leave some out and keep the picture: words that both have are looked at as before."""
    first, second = layout(clip, source), layout(clip, target)
    return _edited(model, clip, latent, (source, target), refined(first, second), (cross_share, self_share))


@node("PromptToPromptReweight", category=CATEGORY, display_name="Prompt-to-Prompt (Reweight)", outputs=OUTPUTS)
def reweight(
    model: Denoiser,
    clip: TextEncoder,
    latent: Latent,
    source: Words = "",
    weights: Annotated[str, Text()] = "",
    cross_share: Fraction = 0.8,
    self_share: Fraction = 0.4,
) -> Edited:
    """Stress words of a prompt, or play them down, and keep the picture: `word: 2, other: -1`, where 1 is as it was."""
    words = layout(clip, source)
    factors, shares = _factors(words, weights), (cross_share, self_share)
    return _edited(model, clip, latent, (source, source), replaced(words, words), shares, factors)


@node("PromptToPromptWeights", category=CATEGORY, display_name="Prompt-to-Prompt (Weights)")
def weigh(model: Denoiser, clip: TextEncoder, target: Words = "", weights: Annotated[str, Text()] = "") -> Denoiser:
    """The same for the words of an edit: behind one of the other nodes, with the target's prompt again."""
    return model.with_patches(Reweighted(_factors(layout(clip, target), weights)))


@node("PromptToPromptBlend", category=CATEGORY, display_name="Prompt-to-Prompt (Local Blend)")
def blend(
    model: Denoiser,
    clip: TextEncoder,
    source: Words = "",
    target: Words = "",
    source_words: Annotated[str, Text()] = "",
    target_words: Annotated[str, Text()] = "",
    threshold: Annotated[float, Range(0.0, 1.0, step=0.01)] = 0.3,
) -> Denoiser:
    """Edit only where cells look at some words (with commas between them); all else stays. One more evaluation."""
    first, second = filled(layout(clip, source), layout(clip, target))
    rows = [_marked(first, source_words, "source_words"), _marked(second, target_words, "target_words")]
    return model.with_rule(LocalBlend(torch.stack(rows), threshold))


def _edited(
    model: Denoiser,
    clip: TextEncoder,
    latent: Latent,
    prompts: tuple[str, str],
    alignment: Alignment,
    shares: tuple[float, float],
    factors: Tensor | None = None,
) -> Edited:
    checked_shares(*shares)
    cross, among = (model.levels.sigma_at(share) for share in shares)
    patches: list[Patch] = [SharedAttention(alignment.shared, alignment.own, cross, among)]
    if factors is not None:
        patches.append(Reweighted(factors))
    same = prompts[0] == prompts[1] and (factors is None or bool((factors == 1).all()))
    if same:  # kernels round equal rows of a batch differently: without an edit, nothing is to change
        patches = []
    patched = replace(model.with_patches(*patches), budget=replace(model.budget, together=PAIR))
    return Edited(patched, _both(clip, *prompts), paired(latent))


def paired(latent: Latent) -> Latent:
    """Each sample twice, one behind the other, with the same noise."""

    def twice(t: Tensor | None) -> Tensor | None:
        return t if t is None or len(t) == 1 else t.repeat_interleave(PAIR, dim=0)

    places = range(len(latent.samples)) if latent.batch_index is None else latent.batch_index
    samples = latent.samples.repeat_interleave(PAIR, dim=0)
    index = tuple(place for place in places for _ in range(PAIR))
    return replace(latent, samples=samples, noise_mask=twice(latent.noise_mask), batch_index=index)


def _both(clip: TextEncoder, source: str, target: str) -> Conditioning:
    """The prompts in turn, source and target, as one: `(2, T, D)`."""
    empty = clip.encode("").prompts[0].tokens
    pairs = zip(clip.encode(source).prompts, clip.encode(target).prompts, strict=True)
    return Conditioning(tuple(_joined(first, second, empty) for first, second in pairs))


def _joined(first: Prompt, second: Prompt, empty: Tensor) -> Prompt:
    length = max(first.tokens.shape[1], second.tokens.shape[1])

    def whole(tokens: Tensor) -> Tensor:
        return torch.cat([tokens, empty.repeat(1, (length - tokens.shape[1]) // empty.shape[1], 1)], dim=1)

    tokens = torch.cat([whole(first.tokens), whole(second.tokens)])
    if first.pooled is None or second.pooled is None:
        return replace(first, tokens=tokens)
    return replace(first, tokens=tokens, pooled=torch.cat([first.pooled, second.pooled]))


def _factors(words: Layout, weights: str) -> Tensor:
    factors = torch.ones(words.length)
    for entry in filter(None, re.split(r"[,;\n]+", weights)):
        word, colon, number = (part.strip() for part in entry.rpartition(":"))
        try:
            factor = float(number) if colon else None
        except ValueError:
            factor = None
        if factor is None or not -100 <= factor <= 100:
            raise AlignmentError(
                "this is no word with its weight", where="input weights", expected="word: -100 to 100", got=entry[:80]
            )
        factors[places_of(words, word, "input weights")] = factor
    return factors


def _marked(words: Layout, chosen: str, name: str) -> Tensor:
    marks = torch.zeros(words.length)
    for word in filter(None, re.split(r"[\s,;]+", chosen)):
        marks[places_of(words, word, f"input {name}")] = 1.0
    if not marks.any():
        raise AlignmentError("no word is named", where=f"input {name}", expected="words of the prompt", got="none")
    return marks
