"""Configurations of transformers from shapes: the published nets exactly, with the published numbers of parameters."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from engine.models.detect import ArchitectureError, Shapes
from engine.models.nets.dit import DiT, DiTConfig
from engine.models.nets.pixart import PixArt, PixArtConfig
from engine.models.nets.uvit import UViT, UViTConfig
from engine.models.transformer_configs import dit_config, pixart_config, shapes_of, uvit_config
from tests import manifests
from tests.oracles.uvit import uvit_shapes

DITS = {"dit-xl-2-256": DiTConfig(), "dit-xl-2-512": DiTConfig(positions=1024)}
PIXARTS = {
    "pixart-alpha-256": PixArtConfig(positions=256, null_tokens=120),
    "pixart-alpha-1024": PixArtConfig(positions=4096, null_tokens=120, sizes=True),
    "pixart-sigma-1024": PixArtConfig(positions=4096, null_tokens=300),
}
BUILT: dict[str, tuple[Any, Any]] = {
    **dict.fromkeys(DITS, (DiT, dit_config)),
    **dict.fromkeys(PIXARTS, (PixArt, pixart_config)),
}
UVITS = {  # the paper's table 1 and appendix: width, blocks of each half, classes or width of words, millions
    "S/2, words": (512, 6, {"context": 768}, 45),
    "S/2 deep, words": (512, 8, {"context": 768}, 58),
    "L/2": (1024, 10, {"classes": 1001}, 287),
    "H/2": (1152, 14, {"classes": 1001}, 501),
}


def built(kind: Any, config: Any) -> nn.Module:
    with torch.device("meta"):
        net: nn.Module = kind(config)
    return net


def millions(shapes: Shapes) -> float:
    return sum(math.prod(shape) for shape in shapes.values()) / 1e6


@pytest.mark.parametrize("name", DITS)
def test_the_published_dits_have_the_published_configurations(name: str) -> None:
    assert dit_config(manifests.manifest(name)) == DITS[name]
    assert millions(manifests.manifest(name)) == pytest.approx(675, abs=1.1)


@pytest.mark.parametrize("name", PIXARTS)
def test_the_published_pixart_nets_have_the_published_configurations(name: str) -> None:
    shapes = manifests.manifest(name)
    assert pixart_config(shapes) == PIXARTS[name]
    tables = ("pos_embed", "y_embedder.y_embedding")  # are buffers there and do not count
    assert millions({k: v for k, v in shapes.items() if k not in tables}) == pytest.approx(611, abs=0.5)


@pytest.mark.parametrize("name", BUILT)
def test_a_net_built_from_its_inferred_configuration_has_the_published_tensors(name: str) -> None:
    kind, infer = BUILT[name]
    shapes = manifests.manifest(name)
    assert shapes_of(built(kind, infer(shapes)).state_dict()) == shapes


@pytest.mark.parametrize("name", UVITS)
def test_the_published_u_vits_have_the_published_sizes(name: str) -> None:
    width, depth, options, size = UVITS[name]
    shapes = uvit_shapes(width, depth, side=16, **options)
    config = uvit_config(shapes)
    assert (config.width // config.heads, config.depth) == (72 if width == 1152 else 64, depth)
    assert shapes_of(built(UViT, config).state_dict()) == shapes
    assert millions(shapes) == pytest.approx(size, abs=1)


def test_the_largest_u_vit_is_what_a_configuration_is_by_default() -> None:
    assert uvit_config(uvit_shapes(1152, 14, side=16, classes=1001)) == UViTConfig()


@pytest.mark.parametrize("missing", ["x_embedder.proj.weight", "final_layer.linear.weight", "pos_embed"])
def test_a_missing_tensor_is_named(missing: str) -> None:
    shapes = {name: shape for name, shape in manifests.manifest("dit-xl-2-256").items() if name != missing}
    with pytest.raises(ArchitectureError, match=missing):
        dit_config(shapes, where="file.pt")
