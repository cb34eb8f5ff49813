"""Text to conditioning; conditionings joined, and told where and when they count."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import torch
from torch import Tensor

from engine.models.text.a1111 import encode_a1111
from engine.models.text.encoder import PromptEncoder, TextEncoder
from engine.node import Choice, Fraction, Range, Steps, Text, node
from engine.tensors.values import Area, Conditioning, Mask

Side = Annotated[int, Range(64, 16384, step=8)]
Offset = Annotated[int, Range(0, 16384, step=8)]
Strength = Annotated[float, Range(0.0, 10.0, step=0.01)]


@node("CLIPTextEncode", category="conditioning", display_name="CLIP Text Encode (Prompt)")
def encode_text(text: Annotated[str, Text(multiline=True, dynamic_prompts=True)], clip: PromptEncoder) -> Conditioning:
    """Encode a prompt. `(words:1.2)` weighs them, `embedding:name` inserts a textual inversion."""
    return clip.encode(text)


@node("CLIPTextEncodeA1111", category="conditioning", display_name="CLIP Text Encode (A1111 dialect)")
def encode_a1111_text(text: Annotated[str, Text(multiline=True)], clip: TextEncoder, steps: Steps = 20) -> Conditioning:
    """A prompt as A1111's web UI reads it.

    `(words)` and `[words]` weigh them up and down, `(words:1.2)` multiplies, `BREAK` starts a chunk. For a sampling of
    `steps` steps, `[from:to:when]` edits and `[a|b]` takes turns: exact to the step with schedules of even timesteps
    (normal, simple, sgm_uniform), nearly so with others. Prompts joined by AND are averaged by their `:weight`; the web
    UI adds them up, which is the same at cfg times the sum of the weights.
    """
    return encode_a1111(clip, text, steps)


@node("CLIPSetLastLayer", category="conditioning", display_name="CLIP Set Last Layer")
def set_last_layer(clip: TextEncoder, stop_at_clip_layer: Annotated[int, Range(-24, -1)] = -1) -> TextEncoder:
    """Read the text encoder out before its end: -2 is what others call clip skip 2."""
    return clip.with_last_layer(stop_at_clip_layer)


@node("ConditioningCombine", category="conditioning", display_name="Conditioning (Combine)")
def combine(conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """Both at once: the net is asked for each, and the answers are averaged."""
    return Conditioning((*conditioning_1.prompts, *conditioning_2.prompts))


@node("ConditioningConcat", category="conditioning", display_name="Conditioning (Concat)")
def concat(conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """The tokens of the first prompt of `conditioning_from` behind those of each of the other."""
    behind = conditioning_from.prompts[0].tokens
    prompts = (replace(p, tokens=torch.cat([p.tokens, behind], dim=1)) for p in conditioning_to.prompts)
    return Conditioning(tuple(prompts))


@node("ConditioningAverage", category="conditioning", display_name="ConditioningAverage")
def average(
    conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: Fraction = 1.0
) -> Conditioning:
    """Each prompt mixed with the first of `conditioning_from`, of which it keeps the share of `1 - strength`."""
    other, share = conditioning_from.prompts[0], conditioning_to_strength

    def mixed(own: Tensor | None, theirs: Tensor | None) -> Tensor | None:
        return own if own is None or theirs is None else own * share + theirs * (1 - share)

    prompts = (
        replace(
            p,
            tokens=p.tokens * share + _of_length(other.tokens, p.tokens.shape[1]) * (1 - share),
            pooled=mixed(p.pooled, other.pooled),
        )
        for p in conditioning_to.prompts
    )
    return Conditioning(tuple(prompts))


@node("ConditioningZeroOut", category="advanced/conditioning", display_name="ConditioningZeroOut")
def zero_out(conditioning: Conditioning) -> Conditioning:
    """All zeros: for models that were trained with such an empty prompt."""
    prompts = (
        replace(
            p,
            tokens=torch.zeros_like(p.tokens),
            pooled=None if p.pooled is None else torch.zeros_like(p.pooled),
        )
        for p in conditioning.prompts
    )
    return Conditioning(tuple(prompts))


@node("ConditioningSetTimestepRange", category="advanced/conditioning", display_name="ConditioningSetTimestepRange")
def set_range(conditioning: Conditioning, start: Fraction = 0.0, end: Fraction = 1.0) -> Conditioning:
    """Count only from the share `start` of the sampling to the share `end`."""
    return _with(conditioning, start=start, end=end)


@node("ConditioningSetArea", category="conditioning", display_name="Conditioning (Set Area)")
def set_area(
    conditioning: Conditioning,
    width: Side = 64,
    height: Side = 64,
    x: Offset = 0,
    y: Offset = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Count only in an area, in pixels."""
    return _with(conditioning, area=Area(height, width, y, x), strength=strength)


@node("ConditioningSetAreaPercentage", category="conditioning", display_name="Conditioning (Set Area with Percentage)")
def set_area_percentage(
    conditioning: Conditioning,
    width: Fraction = 1.0,
    height: Fraction = 1.0,
    x: Fraction = 0.0,
    y: Fraction = 0.0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Count only in an area, in fractions of the picture."""
    return _with(conditioning, area=Area(height, width, y, x, "fractions"), strength=strength)


@node("ConditioningSetAreaPercentageVideo", category="conditioning")
def set_area_percentage_video(
    conditioning: Conditioning,
    width: Fraction = 1.0,
    height: Fraction = 1.0,
    temporal: Fraction = 1.0,
    x: Fraction = 0.0,
    y: Fraction = 0.0,
    z: Fraction = 0.0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Count only in an area and in the frames from `z` on, as many as `temporal` says; all in fractions of the video.

    The pictures of a batch are its frames.
    """
    return _with(conditioning, area=Area(height, width, y, x, "fractions", z, temporal), strength=strength)


@node("ConditioningSetAreaStrength", category="conditioning", display_name="ConditioningSetAreaStrength")
def set_area_strength(conditioning: Conditioning, strength: Strength = 1.0) -> Conditioning:
    """Count with this weight where several prompts meet."""
    return _with(conditioning, strength=strength)


@node("ConditioningSetMask", category="conditioning", display_name="Conditioning (Set Mask)")
def set_mask(
    conditioning: Conditioning,
    mask: Mask,
    strength: Strength = 1.0,
    *,
    set_cond_area: Annotated[str, Choice("default", "mask bounds")],
) -> Conditioning:
    """Count by the mask; with "mask bounds" the net sees only the box about it."""
    plane = mask.reshape(-1, *mask.shape[-2:])
    return _with(conditioning, mask=plane, mask_strength=strength, mask_bounds=set_cond_area == "mask bounds")


def _with(conditioning: Conditioning, **changes: Any) -> Conditioning:
    return Conditioning(tuple(replace(prompt, **changes) for prompt in conditioning.prompts))


def _of_length(tokens: Tensor, length: int) -> Tensor:
    """`tokens` `(B, T, D)` cut or filled with zeros to `length` positions."""
    missing = length - tokens.shape[1]
    if missing <= 0:
        return tokens[:, :length]
    return torch.cat([tokens, tokens.new_zeros(len(tokens), missing, tokens.shape[2])], dim=1)
