"""Mixtures of models and of text encoders."""

from __future__ import annotations

from typing import Annotated

from engine.diffusion.denoiser import Denoiser
from engine.models.merging import Ratios, by_prefix, left_over, mixture
from engine.models.text.encoder import TextEncoder
from engine.node import PLAIN, Fraction, NodeContext, Range, node

CATEGORY = "advanced/model_merging"
SPECIFIC = f"{CATEGORY}/model_specific"

Multiplier = Annotated[float, Range(-10.0, 10.0, step=0.01)]

_ENDS = ("time_embed.", "label_emb.")
SD1_BLOCKS = (
    *_ENDS,
    *(f"input_blocks.{number}." for number in range(12)),
    *(f"middle_block.{number}." for number in range(3)),
    *(f"output_blocks.{number}." for number in range(12)),
    "out.",
)
# Without the dots that would tell block 1 from block 10, of which there is none.
SDXL_BLOCKS = (
    *_ENDS,
    *(f"input_blocks.{number}" for number in range(9)),
    *(f"middle_block.{number}" for number in range(3)),
    *(f"output_blocks.{number}" for number in range(9)),
    "out.",
)


@node("ModelMergeSimple", category=CATEGORY)
def merge_models(model1: Denoiser, model2: Denoiser, ratio: Fraction = 1.0, ctx: NodeContext = PLAIN) -> Denoiser:
    """`ratio` of the first model and the rest of the second, in every weight."""
    return _mixed(model1, model2, by_prefix({}, ratio), ctx)


@node("ModelMergeAdd", category=CATEGORY)
def add_models(model1: Denoiser, model2: Denoiser, ctx: NodeContext = PLAIN) -> Denoiser:
    """The sum of both in every weight: for what ModelMergeSubtract gives."""
    return _mixed(model1, model2, lambda _name: (1.0, 1.0), ctx)


@node("ModelMergeSubtract", category=CATEGORY)
def subtract_models(
    model1: Denoiser, model2: Denoiser, multiplier: Multiplier = 1.0, ctx: NodeContext = PLAIN
) -> Denoiser:
    """What the first model has more than the second, in every weight, times a number."""
    return _mixed(model1, model2, lambda _name: (multiplier, -multiplier), ctx)


@node("ModelMergeBlocks", category=CATEGORY)
def merge_blocks(
    model1: Denoiser,
    model2: Denoiser,
    input: Fraction = 1.0,  # noqa: A002  # the name of saved workflows
    middle: Fraction = 1.0,
    out: Fraction = 1.0,
    ctx: NodeContext = PLAIN,
) -> Denoiser:
    """The first model's share by the part of the net; what lies in none, as the time embedding, has that of `input`."""
    return _mixed(model1, model2, by_prefix({"input": input, "middle": middle, "out": out}, input), ctx)


@node("ModelMergeSD1", category=SPECIFIC, each=dict.fromkeys(SD1_BLOCKS, 1.0))
def merge_sd1(model1: Denoiser, model2: Denoiser, ctx: NodeContext = PLAIN, **shares: Fraction) -> Denoiser:
    """The first model's share in each block of an SD1 net."""
    return _mixed(model1, model2, by_prefix(shares, 1.0), ctx)


@node("ModelMergeSD2", category=SPECIFIC, each=dict.fromkeys(SD1_BLOCKS, 1.0))
def merge_sd2(model1: Denoiser, model2: Denoiser, ctx: NodeContext = PLAIN, **shares: Fraction) -> Denoiser:
    """The first model's share in each block of an SD2 net."""
    return _mixed(model1, model2, by_prefix(shares, 1.0), ctx)


@node("ModelMergeSDXL", category=SPECIFIC, each=dict.fromkeys(SDXL_BLOCKS, 1.0))
def merge_sdxl(model1: Denoiser, model2: Denoiser, ctx: NodeContext = PLAIN, **shares: Fraction) -> Denoiser:
    """The first model's share in each block of an SDXL net."""
    return _mixed(model1, model2, by_prefix(shares, 1.0), ctx)


@node("CLIPMergeSimple", category=CATEGORY)
def merge_encoders(
    clip1: TextEncoder, clip2: TextEncoder, ratio: Fraction = 1.0, ctx: NodeContext = PLAIN
) -> TextEncoder:
    """`ratio` of the first text encoder and the rest of the second, in every weight."""
    return _mixed_text(clip1, clip2, by_prefix({}, ratio), ctx)


@node("CLIPMergeAdd", category=CATEGORY)
def add_encoders(clip1: TextEncoder, clip2: TextEncoder, ctx: NodeContext = PLAIN) -> TextEncoder:
    """The sum of both in every weight: for what CLIPMergeSubtract gives."""
    return _mixed_text(clip1, clip2, lambda _name: (1.0, 1.0), ctx)


@node("CLIPMergeSubtract", category=CATEGORY)
def subtract_encoders(
    clip1: TextEncoder, clip2: TextEncoder, multiplier: Multiplier = 1.0, ctx: NodeContext = PLAIN
) -> TextEncoder:
    """What the first text encoder has more than the second, in every weight, times a number."""
    return _mixed_text(clip1, clip2, lambda _name: (multiplier, -multiplier), ctx)


def _mixed(one: Denoiser, other: Denoiser, ratios: Ratios, ctx: NodeContext) -> Denoiser:
    adapter, left = mixture(one.net, other.net, other.adapters, ratios)
    if left:
        ctx.warn(left_over(left))
    return one.with_adapter(adapter, 1.0)


def _mixed_text(one: TextEncoder, other: TextEncoder, ratios: Ratios, ctx: NodeContext) -> TextEncoder:
    pairs = zip(one.towers, other.towers, strict=False)  # the same number, unless their families differ
    mixed = [mixture(own.net, theirs.net, theirs.adapters, ratios) for own, theirs in pairs]
    left = tuple(name for _, names in mixed for name in names)
    if left:
        ctx.warn(left_over(left))
    return one.with_adapter(mixed[0][0], 1.0, *(adapter for adapter, _ in mixed[1:]))
