"""DiT-XL/2 and PixArt at full size with random weights, against diffusers: about 6 GiB."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.nets.denoising import DenoisingNet
from engine.models.transformer_configs import shapes_of
from engine.models.transformers import transformer_of
from tests import manifests
from tests.oracles import transformers

pytestmark = pytest.mark.slow

HEADS, HEAD, DEPTH = 16, 72, 28
PIXARTS = {"pixart-alpha-1024": ("PixArt-alpha", True, 120), "pixart-sigma-1024": ("PixArt-sigma", False, 300)}
TIMES = torch.tensor([981.0, 37.0])


@pytest.fixture(autouse=True)
def _freed() -> Iterator[None]:
    yield
    gc.collect()


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def assert_same(own: Tensor, expected: Tensor) -> None:
    assert expected.std() > 0.05
    assert (own - expected).abs().max() <= 2e-5 * max(1.0, float(expected.abs().max()))


def loaded(state: dict[str, Tensor], family: str, manifest: str) -> DenoisingNet:
    assert shapes_of(state) == manifests.manifest(manifest)
    return transformer_of(state, family, torch.device("cpu"), manifest)


@torch.no_grad()
def test_dit_xl_2_equals_the_reference() -> None:
    reference = transformers.dit(HEADS, HEAD, DEPTH, side=16)
    net = loaded(transformers.dit_state(reference), "DiT", "dit-xl-2-256")
    x, labels = noise(2, 4, 32, 32), torch.tensor([207, 1000])
    expected = reference(x, timestep=TIMES, class_labels=labels).sample
    assert_same(net(x, TIMES, torch.zeros(2, 1, 0), labels), expected)


@torch.no_grad()
@pytest.mark.parametrize("name", PIXARTS)
def test_pixart_xl_2_equals_the_reference(name: str) -> None:
    family, sizes, tokens = PIXARTS[name]
    reference = transformers.pixart(HEADS, HEAD, DEPTH, side=64, context=4096, scale=2.0, sizes=sizes)
    net = loaded(transformers.pixart_state(reference, tokens), family, name)
    x, words = noise(2, 4, 32, 24), noise(2, tokens, 4096)
    mask = (torch.arange(tokens) < 30).long().expand(2, -1)
    size = torch.tensor([[256.0, 192.0, 256 / 192]]).repeat(2, 1)
    told: Any = {"resolution": size[:, :2], "aspect_ratio": size[:, 2:]}
    options = {"encoder_attention_mask": mask, "added_cond_kwargs": told}
    expected = reference(x, encoder_hidden_states=words, timestep=TIMES, **options).sample
    assert_same(net(x, TIMES, words[:, :30], size if sizes else None), expected)
