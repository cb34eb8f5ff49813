"""Guidance by leaving out blocks of a transformer net."""

from __future__ import annotations

import re
from typing import Annotated

from engine.diffusion.attention_rules import GuidanceError
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.layer_rules import SkippedLayers
from engine.foundation.bounds import within
from engine.models.nets.transformer_patches import SkippedBlocks, block_count
from engine.node import Range, Text, node

GUIDANCE = "advanced/guidance"
LAYERS = "7, 8, 9"

Layers = Annotated[str, Text()]
Scale = Annotated[float, Range(0.0, 10.0, step=0.1)]
Rescaling = Annotated[float, Range(0.0, 10.0, step=0.01)]
Share = Annotated[float, Range(0.0, 1.0, step=0.001)]


@node("SkipLayerGuidanceDiT", category=GUIDANCE)
def skip_layer_guidance(
    model: Denoiser,
    double_layers: Layers = LAYERS,
    single_layers: Layers = LAYERS,  # noqa: ARG001 - the name of saved workflows
    scale: Scale = 3.0,
    start_percent: Share = 0.01,
    end_percent: Share = 0.15,
    rescaling_scale: Rescaling = 0.0,
) -> Denoiser:
    """Lead away from what the net paints without some of its blocks: better structure, one more evaluation.

    `double_layers` count the blocks of DiT, PixArt and U-ViT from 0; `single_layers` are blocks of a second kind, which
    these nets do not have. `rescaling_scale` keeps the contrast down.
    """
    blocks = _blocks(model, double_layers)
    if not blocks:
        return model
    low, high = _range(model, start_percent, end_percent)
    return model.with_rule(SkippedLayers(blocks, scale, low, high, rescaling_scale))


@node("SkipLayerGuidanceDiTSimple", category=GUIDANCE)
def skip_layer_guidance_simple(
    model: Denoiser,
    double_layers: Layers = LAYERS,
    single_layers: Layers = LAYERS,  # noqa: ARG001 - the name of saved workflows
    start_percent: Share = 0.0,
    end_percent: Share = 1.0,
) -> Denoiser:
    """Paint what is not wanted without some of the net's blocks, so that cfg leads away from that: no more evaluations.

    Layers are counted as in SkipLayerGuidanceDiT.
    """
    blocks = _blocks(model, double_layers)
    if not blocks:
        return model
    low, high = _range(model, start_percent, end_percent)
    return model.with_patches(SkippedBlocks(blocks, low, high, negative_only=True))


@node("SkipLayerGuidanceSD3", category=GUIDANCE)
def skip_layer_guidance_sd3(
    model: Denoiser,
    layers: Layers = LAYERS,  # noqa: ARG001
    scale: Scale = 3.0,  # noqa: ARG001
    start_percent: Share = 0.01,  # noqa: ARG001
    end_percent: Share = 0.15,  # noqa: ARG001
) -> Denoiser:
    """The same for the nets of Stable Diffusion 3; for others use SkipLayerGuidanceDiT."""
    with model.net.look() as net:
        raise GuidanceError(
            "this node is for Stable Diffusion 3",
            where="input model",
            expected="a model with the net of Stable Diffusion 3",
            got=f"a {type(net).__name__}",
            hint="Use SkipLayerGuidanceDiT for DiT, PixArt and U-ViT." if block_count(net) else "",
        )


def _blocks(model: Denoiser, layers: str) -> frozenset[int]:
    """The blocks that are named, of a net that has them all. Raises `GuidanceError`."""
    with model.net.look() as net:
        count, kind = block_count(net), type(net).__name__
    if count == 0:
        raise GuidanceError(
            "this net has no transformer blocks that can be left out",
            where="input model",
            expected="a model with the net of DiT, PixArt or U-ViT",
            got=f"a {kind}",
        )
    named = frozenset(int(number) for number in re.findall(r"\d+", layers))
    beyond = sorted(number for number in named if number >= count)
    if beyond:
        raise GuidanceError(
            "this net has fewer blocks",
            where="input double_layers",
            expected=f"numbers from 0 to {count - 1}",
            got=", ".join(map(str, beyond)),
        )
    return named


def _range(model: Denoiser, start_percent: float, end_percent: float) -> tuple[float, float]:
    within("start_percent", start_percent, 0.0, 1.0)
    within("end_percent", end_percent, 0.0, 1.0)
    return model.levels.sigma_at(end_percent), model.levels.sigma_at(start_percent)
