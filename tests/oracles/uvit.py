"""The tensors of a tiny U-ViT in the original layout, with random weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]
WORDS = 77


def uvit_state(seed: int = 0, **options: Any) -> State:
    """The tensors of a net, see `uvit_shapes`."""
    return _random(uvit_shapes(**options), seed)


def uvit_shapes(
    width: int = 128,
    depth: int = 2,
    side: int = 4,
    classes: int = 0,
    context: int = 0,
    *,
    time_layers: bool = False,
    plain: bool = False,
) -> Shapes:
    """For latents of 4 channels and `2 * side` cells; `depth` is that of each half.

    A `plain` one has no long skips and no convolution at the end, and its attention has biases.
    """
    extras = 1 + (1 if classes else 0) + (WORDS if context else 0)
    shapes: Shapes = {
        "pos_embed": (1, extras + side**2, width),
        **_layer("patch_embed.proj", (width, 4, 2, 2)),
        **_layer("norm", (width,)),
        **_layer("decoder_pred", (16, width)),
    }
    if classes:
        shapes["label_emb.weight"] = (classes, width)
    if context:
        shapes |= _layer("context_embed", (width, context))
    if time_layers:
        shapes |= _layer("time_embed.0", (4 * width, width)) | _layer("time_embed.2", (width, 4 * width))
    if not plain:
        shapes |= _layer("final_layer", (4, 4, 3, 3))
    blocks = [f"{half}_blocks.{number}" for half in ("in", "out") for number in range(depth)]
    for block in [*blocks, "mid_block"]:
        shapes |= _layer(f"{block}.norm1", (width,)) | _layer(f"{block}.norm2", (width,))
        shapes |= _layer(f"{block}.attn.qkv", (3 * width, width), bias=plain)
        shapes |= _layer(f"{block}.attn.proj", (width, width))
        shapes |= _layer(f"{block}.mlp.fc1", (4 * width, width)) | _layer(f"{block}.mlp.fc2", (width, 4 * width))
        if block.startswith("out") and not plain:
            shapes |= _layer(f"{block}.skip_linear", (width, 2 * width))
    return shapes


def _layer(name: str, shape: tuple[int, ...], *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": shape, **({f"{name}.bias": shape[:1]} if bias else {})}


def _random(shapes: Shapes, seed: int) -> State:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            tensor *= 0.5 / math.sqrt(math.prod(shape[1:])) if "embed" not in name else 0.5
        else:
            tensor = 0.1 * tensor + (1.0 if name.endswith("weight") else 0.0)
        state[name] = tensor
    return state
