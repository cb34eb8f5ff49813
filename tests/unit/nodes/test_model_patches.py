"""Nodes that patch a model's net: several models over one net do not disturb each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.sampling import drive
from engine.foundation.bounds import BoundsError
from engine.tensors.values import Latent
from nodes import model_patches as nodes
from nodes.sampling import ksampler
from tests.unit.diffusion.nets import prompt, twins

POSITIVE, NEGATIVE = prompt(1), prompt(2)
BLANK = Latent(torch.zeros(1, 4, 16, 16))
METHODS = {"downscale_method": "bicubic", "upscale_method": "bilinear"}
CHANGES: dict[str, Callable[[Denoiser], Denoiser]] = {
    "FreeU": nodes.freeu,
    "FreeU_V2": nodes.freeu_v2,
    "HyperTile": lambda model: nodes.hyper_tile(model, 32, 2, 1),
    "TomePatchModel": nodes.tome_patch_model,
    "PatchModelAddDownscale": lambda model: nodes.patch_model_add_downscale(model, **METHODS),
    "UNetSelfAttentionMultiply": lambda model: nodes.unet_self_attention_multiply(model, v=1.5),
    "UNetCrossAttentionMultiply": lambda model: nodes.unet_cross_attention_multiply(model, q=2.0, out=1.5),
    "PerturbedAttentionGuidance": nodes.perturbed_attention_guidance,
    "SelfAttentionGuidance": nodes.self_attention_guidance,
}


@pytest.fixture(scope="module")
def model() -> Denoiser:
    return twins()[0]


def sampled(model: Denoiser) -> Tensor:
    options = {"sampler_name": "euler", "scheduler": "karras", "positive": POSITIVE, "negative": NEGATIVE}
    return drive(ksampler(model, 1, 3, 4.0, latent_image=BLANK, **options)).samples  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain(model: Denoiser) -> Tensor:
    return sampled(model)


@pytest.mark.parametrize("name", CHANGES)
def test_a_patched_model_samples_another_picture_and_the_given_one_its_own(
    model: Denoiser, plain: Tensor, name: str
) -> None:
    changed = CHANGES[name](model)
    first = sampled(changed)
    assert changed.net is model.net
    assert first.isfinite().all()
    assert not torch.allclose(first, plain, atol=1e-4)
    assert torch.equal(sampled(model), plain)
    assert torch.equal(sampled(changed), first)


def test_two_patched_models_over_one_net_do_not_disturb_each_other(model: Denoiser) -> None:
    first, second = nodes.freeu(model), nodes.hyper_tile(nodes.perturbed_attention_guidance(model), 32, 2, 1)
    alone = [sampled(first), sampled(second)]
    runs = [ksampler(changed, 1, 3, 4.0, sampler_name="euler", scheduler="karras", positive=POSITIVE, negative=NEGATIVE,
                     latent_image=BLANK) for changed in (first, second)]  # fmt: skip
    requests = [next(run) for run in runs]
    ends: list[Tensor] = []
    while len(ends) < 2:
        for number, run in enumerate(runs):
            try:
                requests[number] = run.send(requests[number].compute())
            except StopIteration as stop:
                ends.append(stop.value.samples)
    assert all(torch.equal(own, other) for own, other in zip(ends, alone, strict=True))


def test_a_net_is_shrunk_during_its_share_of_the_sampling_only(model: Denoiser) -> None:
    x, tokens = torch.ones(1, 4, 16, 16), POSITIVE.prompts[0].tokens
    changed = nodes.patch_model_add_downscale(model, start_percent=0.2, end_percent=0.5, **METHODS)
    for share, same in ((0.1, True), (0.35, False), (0.6, True)):
        sigma = model.levels.sigma_at(share)
        assert torch.equal(changed.denoise(x, sigma, tokens), model.denoise(x, sigma, tokens)) == same


def test_patches_add_up(model: Denoiser) -> None:
    both = nodes.unet_self_attention_multiply(nodes.freeu(model), v=0.5)
    assert len(both.patches) == 2
    assert model.patches == ()


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
def test_values_that_links_bring_are_checked(model: Denoiser, wrong: float) -> None:
    with pytest.raises(BoundsError, match="input b1"):
        nodes.freeu(model, wrong)
    with pytest.raises(BoundsError, match="input start_percent"):
        nodes.patch_model_add_downscale(model, start_percent=wrong, **METHODS)
    with pytest.raises(BoundsError, match="input ratio"):
        nodes.tome_patch_model(model, wrong)
