"""Transformer nets are told apart by the names and shapes of their tensors, in the original names and in diffusers'."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models.detect import UNET, Shapes, detect, wrong_kind
from engine.models.transformer_configs import shapes_of
from tests import manifests
from tests.oracles import transformers
from tests.oracles.uvit import uvit_shapes

FAMILIES = {
    "dit-xl-2-256": "DiT",
    "dit-xl-2-512": "DiT",
    "pixart-alpha-256": "PixArt-alpha",
    "pixart-alpha-1024": "PixArt-alpha",
    "pixart-sigma-1024": "PixArt-sigma",
}
SIGMA = manifests.manifest("pixart-sigma-1024")


@pytest.mark.parametrize(("name", "family"), FAMILIES.items())
def test_the_published_transformers_are_told_apart(name: str, family: str) -> None:
    found = detect(manifests.manifest(name))
    assert (found.kind, found.family, found.nearest) == ("transformer", family, None)


@pytest.mark.parametrize(("options", "family"), [({"classes": 1001}, "U-ViT"), ({"context": 768}, "U-ViT for words")])
def test_u_vits_are_told_by_what_they_are_asked_for(options: dict[str, int], family: str) -> None:
    assert detect(uvit_shapes(**options)).family == family


def test_a_net_in_diffusers_names_is_of_the_same_family() -> None:
    assert detect(shapes_of(transformers.dit(depth=1).state_dict())).family == "DiT"
    assert detect(shapes_of(transformers.pixart(depth=1).state_dict())).family == "PixArt-sigma"
    assert detect(shapes_of(transformers.pixart(depth=1, sizes=True).state_dict())).family == "PixArt-alpha"


def test_the_prefix_of_checkpoints_changes_nothing() -> None:
    assert detect({UNET + name: shape for name, shape in SIGMA.items()}).family == "PixArt-sigma"


@pytest.mark.parametrize(
    ("base", "change", "nearest", "difference"),
    [
        ("pixart-sigma-1024", {"blocks.14.attn.sr.weight": (1152, 1, 2, 2)}, "PixArt-sigma", "attention: over fewer"),
        ("dit-xl-2-256", {"x_embedder.proj.weight": (1152, 3, 2, 2)}, "DiT", "channels: 3 instead of 4"),
        ("pixart-alpha-256", {"blocks.0.attn.q_norm.weight": (72,)}, "PixArt-alpha", "attention: normed"),
    ],
)
def test_an_unknown_transformer_names_the_nearest_family(
    base: str, change: Shapes, nearest: str, difference: str
) -> None:
    found = detect({**manifests.manifest(base), **change})
    assert (found.family, found.nearest) == ("unknown", nearest)
    assert difference in str(wrong_kind(Path("x.pth"), found, "a DiT"))


def test_a_transformer_says_where_it_belongs() -> None:
    message = str(wrong_kind(Path("x.pth"), detect(SIGMA), "a checkpoint"))
    assert "PixArt-sigma" in message
    assert "models/diffusion_models" in message


def test_a_vision_tower_is_no_transformer_of_pictures() -> None:
    tower = {"patch_embed.proj.weight": (768, 3, 16, 16), "blocks.0.attn.qkv.weight": (2304, 768)}
    assert detect(tower).kind == "unknown"
