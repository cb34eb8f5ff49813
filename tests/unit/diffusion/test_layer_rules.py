"""Guidance by leaving out blocks: against nets that are built without those blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.attention_rules import GuidanceError
from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.guidance import ClassifierFreeGuidance, estimates
from engine.foundation.bounds import BoundsError
from engine.models.detect import Detection
from engine.models.nets.transformer import UnfitPatchError
from engine.models.transformers import transformer_checkpoint, transformer_of
from engine.tensors.values import Conditioning, Prompt
from nodes.layer_guidance import skip_layer_guidance, skip_layer_guidance_sd3, skip_layer_guidance_simple
from nodes.model_patches import freeu
from nodes.transformers import imagenet_label
from tests.oracles import transformers
from tests.oracles.uvit import uvit_state
from tests.unit.diffusion.nets import twins

CPU = torch.device("cpu")
CFG, SIGMA = 4.0, 5.0
POSITIVE, NEGATIVE = imagenet_label("golden retriever (207)"), imagenet_label("none")


def denoiser(family: str, state: dict[str, Tensor]) -> Denoiser:
    net = transformer_of(state, family, torch.device("cpu"), "test")
    return denoiser_of(transformer_checkpoint(net, Detection("transformer", family, ()), CPU))


def state(depth: int = 3) -> dict[str, Tensor]:
    return transformers.dit_state(transformers.dit(depth=depth))


def without(block: int, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the same net without one of its three blocks."""
    kept = [number for number in range(3) if number != block]
    rest = {name: weight for name, weight in weights.items() if not name.startswith("blocks.")}
    for place, number in enumerate(kept):
        start = f"blocks.{number}."
        rest |= {f"blocks.{place}.{n.removeprefix(start)}": w for n, w in weights.items() if n.startswith(start)}
    return rest


def x(batch: int = 1) -> Tensor:
    return torch.randn(batch, 4, 8, 8, generator=torch.Generator().manual_seed(2)) * SIGMA


def one(model: Denoiser, conditioning: Conditioning) -> Tensor:
    return estimates(model, x(), SIGMA, [conditioning])[0]


def guided(model: Denoiser) -> Tensor:
    return ClassifierFreeGuidance(model, POSITIVE, NEGATIVE, CFG).denoise(x(), SIGMA)


@pytest.fixture(scope="module")
def model() -> Denoiser:
    return denoiser("DiT", state())


def test_guidance_leads_away_from_the_net_without_the_block(model: Denoiser) -> None:
    weak = one(denoiser("DiT", without(1, state())), POSITIVE)
    expected = guided(model) + 3.0 * (one(model, POSITIVE) - weak)
    own = guided(skip_layer_guidance(model, "1", "", 3.0, 0.0, 1.0))
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-4)
    assert not torch.allclose(own, guided(model))


def test_rescaling_brings_the_deviation_back_to_that_of_the_positive(model: Denoiser) -> None:
    own = guided(skip_layer_guidance(model, "1", "", 3.0, 0.0, 1.0, 1.0))
    assert own.std().item() == pytest.approx(one(model, POSITIVE).std().item(), rel=1e-5)


def test_the_simple_form_paints_the_negative_alone_without_the_block(model: Denoiser) -> None:
    weak = one(denoiser("DiT", without(1, state())), NEGATIVE)
    positive = one(model, POSITIVE)
    expected = torch.cat([weak[:, :3] + CFG * (positive - weak)[:, :3], positive[:, 3:]], dim=1)
    own = guided(skip_layer_guidance_simple(model, "1", ""))
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", [skip_layer_guidance, skip_layer_guidance_simple])
def test_outside_its_range_nothing_changes(model: Denoiser, make: Any) -> None:
    late = make(model, "1", "", start_percent=0.9, end_percent=1.0)
    assert torch.equal(guided(late), guided(model))


@pytest.mark.parametrize("make", [skip_layer_guidance, skip_layer_guidance_simple])
def test_without_layers_the_model_is_the_same(model: Denoiser, make: Any) -> None:
    assert make(model, "", "7, 8, 9") is model


def test_every_sample_of_a_batch_is_guided_by_itself(model: Denoiser) -> None:
    both = skip_layer_guidance(model, "1", "", 3.0, 0.0, 1.0, 0.7)
    side = ClassifierFreeGuidance(both, POSITIVE, NEGATIVE, CFG)
    parts = torch.cat([side.denoise(row[None], SIGMA) for row in x(2)])
    torch.testing.assert_close(side.denoise(x(2), SIGMA) / SIGMA, parts / SIGMA, rtol=0, atol=1e-5)


def test_blocks_of_other_transformers_are_left_out_as_well() -> None:
    words = [Conditioning((Prompt(torch.randn(1, 5, 48)),)) for _ in range(2)]
    pixart = denoiser("PixArt-sigma", transformers.pixart_state(transformers.pixart(depth=3)))
    uvit = denoiser("U-ViT", uvit_state(classes=11))
    small = [replace(POSITIVE.prompts[0], extras=replace(POSITIVE.prompts[0].extras, label=n)) for n in (3, 10)]
    for own, sides in ((pixart, words), (uvit, [Conditioning((prompt,)) for prompt in small])):
        changed = skip_layer_guidance(own, "0, 2", "", 3.0, 0.0, 1.0)
        results = [ClassifierFreeGuidance(m, *sides, CFG).denoise(x(), SIGMA) for m in (own, changed)]
        assert results[1].isfinite().all()
        assert not torch.allclose(*results)


@pytest.mark.parametrize("make", [skip_layer_guidance, skip_layer_guidance_simple])
def test_a_block_that_there_is_not_is_refused(model: Denoiser, make: Any) -> None:
    with pytest.raises(GuidanceError, match=r"input double_layers: .*0 to 2, got 7, 8, 9"):
        make(model)


@pytest.mark.parametrize("make", [skip_layer_guidance, skip_layer_guidance_simple])
def test_a_unet_has_no_such_blocks(make: Any) -> None:
    with pytest.raises(GuidanceError, match=r"input model: .*got a UNet"):
        make(twins()[0])


def test_the_node_for_stable_diffusion_3_names_the_one_for_other_nets(model: Denoiser) -> None:
    with pytest.raises(GuidanceError, match=r"got a DiT\. Use SkipLayerGuidanceDiT"):
        skip_layer_guidance_sd3(model)


def test_a_scale_beyond_its_range_is_refused(model: Denoiser) -> None:
    with pytest.raises(BoundsError, match="input scale"):
        skip_layer_guidance(model, "1", "", 11.0)


def test_a_change_of_feature_maps_has_no_place_in_a_transformer(model: Denoiser) -> None:
    with pytest.raises(UnfitPatchError, match="got FreeU"):
        guided(freeu(model))
