"""Configurations of transformer nets from the tensors in a file, so that every size loads through the same code."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from engine.models.configs import count, shape
from engine.models.detect import ArchitectureError, Shapes
from engine.models.nets.dit import DiTConfig
from engine.models.nets.pixart import PixArtConfig
from engine.models.nets.transformer import head_count
from engine.models.nets.uvit import UViTConfig

CLIP_WORDS = 77  # of U-ViT's text models
PIXART_SPAN = 32.0  # of every published PixArt net but alpha at 256 pixels, whose file says so by its table of places


def dit_config(own: Shapes, *, where: str = "") -> DiTConfig:
    """The shape of a DiT. Raises `ArchitectureError` naming the tensor that is missing."""
    width, channels, patch, _ = shape(own, "x_embedder.proj.weight", where)
    hidden, waves = shape(own, "blocks.0.mlp.fc1.weight", where)[0], shape(own, "t_embedder.mlp.0.weight", where)[1]
    places = shape(own, "pos_embed", where)[1]
    if math.isqrt(places) ** 2 != places:
        raise ArchitectureError(
            "these places are no square", where=where, expected="pos_embed of n * n tokens", got=str(places)
        )
    return DiTConfig(
        in_channels=channels,
        out_channels=shape(own, "final_layer.linear.weight", where)[0] // patch**2,
        width=width,
        depth=count(own, "blocks.{}.attn.qkv.weight"),
        heads=head_count(width),
        patch=patch,
        classes=shape(own, "y_embedder.embedding_table.weight", where)[0],
        positions=places,
        hidden=hidden,
        waves=waves,
    )


def pixart_config(own: Shapes, places: Tensor | None = None, *, where: str = "") -> PixArtConfig:
    """The shape of a PixArt net; `places` `(1, N, C)` is the file's table of them, if it has one.

    Raises `ArchitectureError` naming the tensor that is missing.
    """
    width, channels, patch, _ = shape(own, "x_embedder.proj.weight", where)
    context = shape(own, "y_embedder.y_proj.fc1.weight", where)[1]
    return PixArtConfig(
        in_channels=channels,
        out_channels=shape(own, "final_layer.linear.weight", where)[0] // patch**2,
        width=width,
        depth=count(own, "blocks.{}.attn.qkv.weight"),
        heads=head_count(width),
        patch=patch,
        context_channels=context,
        span=PIXART_SPAN if places is None else span_of(places),
        sizes="csize_embedder.mlp.0.weight" in own,
        positions=own["pos_embed"][1] if "pos_embed" in own else 0,
        null_tokens=own["y_embedder.y_embedding"][0] if "y_embedder.y_embedding" in own else 0,
        hidden=shape(own, "blocks.0.mlp.fc1.weight", where)[0],
        waves=shape(own, "t_embedder.mlp.0.weight", where)[1],
    )


def span_of(places: Tensor) -> float:
    """How far a table of sinusoids `(1, n * n, C)` reaches along a side: `n` times the distance of two places.

    The first sinusoid has frequency 1, so the second token's sine and cosine give its place.
    """
    side, quarter = math.isqrt(places.shape[1]), places.shape[2] // 4
    if side < 2 or places.is_meta:
        return PIXART_SPAN
    sine, cosine = (float(places[0, 1, channel]) for channel in (0, quarter))
    return round(side * math.atan2(sine, cosine), 3)


def uvit_config(own: Shapes, *, where: str = "") -> UViTConfig:
    """The shape of a U-ViT. Raises `ArchitectureError` naming what is missing, or for places that are no square."""
    width, channels, patch, _ = shape(own, "patch_embed.proj.weight", where)
    classes, context = own.get("label_emb.weight", (0,))[0], own.get("context_embed.weight", (0, 0))[1]
    words = CLIP_WORDS if context else 0
    tokens = shape(own, "pos_embed", where)[1]
    places = tokens - 1 - (1 if classes else 0) - words
    if places < 1 or math.isqrt(places) ** 2 != places:
        raise ArchitectureError(
            "these places are no square",
            where=where,
            expected=f"pos_embed of n * n + {tokens - places} tokens",
            got=str(tokens),
        )
    return UViTConfig(
        channels=channels,
        width=width,
        depth=count(own, "in_blocks.{}.attn.qkv.weight"),
        heads=head_count(width),
        patch=patch,
        classes=classes,
        context_channels=context,
        words=words,
        positions=places,
        hidden=shape(own, "mid_block.mlp.fc1.weight", where)[0],
        time_layers="time_embed.0.weight" in own,
        skips="out_blocks.0.skip_linear.weight" in own,
        biases="mid_block.attn.qkv.bias" in own,
        smooth="final_layer.weight" in own,
    )


def shapes_of(weights: Mapping[str, Tensor]) -> Shapes:
    """The shapes of tensors by name."""
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}
