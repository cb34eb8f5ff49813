"""The nodes of cascades: their parts, changed pictures, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion import cascade
from engine.diffusion.cascade import STEP_CHOICES, CascadeError, StageSteps, stage_denoiser
from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.extras import MissingExtraError
from engine.diffusion.parameterisation import cosine
from engine.diffusion.rules import DynamicThreshold
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import drive
from engine.foundation.bounds import BoundsError
from engine.models.cascade import stage_of
from engine.tensors.values import Conditioning, Image, Mask, Pixels, Prompt
from nodes.cascade import (
    cascade_sample,
    cascade_schedule,
    empty_pixels,
    image_to_pixels,
    pixels_to_image,
    super_resolve,
    upscale_conditioning,
)
from nodes.custom_sampling import sampler_custom
from nodes.guidance import dynamic_threshold
from tests.oracles.cascade import ENCODER, original_state, unet
from tests.unit.diffusion.nets import noise

CPU = torch.device("cpu")
POSITIVE, NEGATIVE = (Conditioning((Prompt(noise(1, 5, ENCODER, seed=seed)),)) for seed in (1, 2))
SIDES = {"positive": POSITIVE, "negative": NEGATIVE}
FEW = {"schedule": "trailing", "steps": 3}


def denoiser(*, upscaling: bool) -> Denoiser:
    return stage_denoiser(stage_of(original_state(unet((32, 64), (1, 1), upscaling=upscaling)), CPU, "", None, 32))


@pytest.fixture(scope="module")
def first() -> Denoiser:
    return denoiser(upscaling=False)


@pytest.fixture(scope="module")
def fixed() -> Denoiser:
    """A first stage that learned no variance."""
    state = original_state(unet((32, 64), (1, 1)))
    state |= {name: state[name][: cascade.CHANNELS].clone() for name in ("out.2.weight", "out.2.bias")}
    made = stage_denoiser(stage_of(state, CPU, "", None, 32))
    assert not made.learned_variance
    return made


@pytest.fixture(scope="module")
def later() -> Denoiser:
    return denoiser(upscaling=True)


def sampled(stage: Denoiser, pixels: Pixels | None = None, **settings: Any) -> Pixels:
    options: Any = {**SIDES, **FEW, **settings}
    return drive(cascade_sample(stage, pixels=pixels or empty_pixels(8, 8), **options))[0]  # type: ignore[arg-type]


def resolved(stage: Denoiser, small: Pixels, **settings: Any) -> Pixels:
    options: Any = {**SIDES, **FEW, **settings}
    return drive(super_resolve(stage, pixels=small, **options))[0]  # type: ignore[arg-type]


def picture(side: int = 8, seed: int = 3) -> Pixels:
    return Pixels(noise(1, 3, side, side, seed=seed).clamp(-1, 1))


def test_pixels_and_pictures_are_the_same_thing() -> None:
    image = Image(torch.rand(2, 4, 6, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(pixels_to_image(image_to_pixels(image)), image, atol=1e-6)
    assert image_to_pixels(image).samples.shape == (2, 3, 4, 6)


def test_an_empty_canvas_has_the_size_that_is_asked_for() -> None:
    canvas = empty_pixels(16, 8, 3)
    assert (canvas.samples.shape, canvas.empty) == ((3, 3, 8, 16), True)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_paints_with_a_learned_variance_and_with_a_fixed_one(
    first: Denoiser, fixed: Denoiser, name: str
) -> None:
    for stage in (first, fixed):
        samples = sampled(stage, sampler_name=name).samples
        assert samples.shape == (1, 3, 8, 8)
        assert bool(samples.isfinite().all())


def test_a_large_picture_is_as_many_times_as_large_as_asked(later: Denoiser) -> None:
    assert resolved(later, picture(), scale=2.5).samples.shape == (1, 3, 20, 20)


def test_the_noise_level_of_the_small_picture_counts(later: Denoiser) -> None:
    low, high = (resolved(later, picture(), scale=2.0, noise_level=level).samples for level in (0.0, 0.9))
    assert (low - high).abs().max() > 0.05


def test_single_nodes_paint_what_the_whole_ones_do(first: Denoiser, later: Denoiser) -> None:
    small = sampled(first, seed=4, cfg=3.0)
    model, sampler = dynamic_threshold(first, 0.95, 1.0, 1.5), SAMPLERS["ddpm"]
    sigmas = cascade_schedule(first, **FEW)  # type: ignore[arg-type]
    options: Any = {"noise_seed": 4, "cfg": 3.0, "sampler": sampler}
    parts, _ = drive(sampler_custom(model, sigmas=sigmas, latent_image=empty_pixels(8, 8).latent, **SIDES, **options))  # type: ignore[arg-type]
    assert torch.equal(parts.samples, small.samples)
    positive, negative, canvas = upscale_conditioning(POSITIVE, NEGATIVE, small, 2.0, 0.25)
    model, sides = dynamic_threshold(later, 0.95, 1.0, 1.0), {"positive": positive, "negative": negative}
    parts, _ = drive(sampler_custom(model, sigmas=sigmas, latent_image=canvas, **sides, **options))  # type: ignore[arg-type]
    assert torch.equal(parts.samples, resolved(later, small, scale=2.0, seed=4, cfg=3.0).samples)


@pytest.mark.parametrize("choice", STEP_CHOICES)
def test_every_choice_of_steps_falls_to_zero(first: Denoiser, choice: str) -> None:
    sigmas = cascade_schedule(first, choice, 20).tolist()
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[-1] == 0
    assert choice not in ("linspace", "leading", "trailing") or len(sigmas) == 21


def test_a_share_of_the_steps_is_the_last_of_them() -> None:
    whole, half = (StageSteps("smart50", denoise=share).sigmas(cosine()) for share in (1.0, 0.5))
    assert half == whole[25:]
    assert StageSteps("smart50", denoise=0.0).sigmas(cosine()) == [0.0]


def test_a_picture_that_is_hardly_changed_stays_alike(first: Denoiser) -> None:
    start = picture()
    assert torch.equal(sampled(first, start, denoise=0.0).samples, start.samples)
    slightly, much = (sampled(first, start, schedule="smart50", denoise=share).samples for share in (0.1, 0.9))
    distances = [float((changed - start.samples).abs().mean()) for changed in (slightly, much)]
    assert distances[0] < 0.3 < distances[1]


@pytest.mark.parametrize("later_stage", [False, True])
def test_only_what_a_mask_covers_is_painted(first: Denoiser, later: Denoiser, later_stage: bool) -> None:
    start, mask = picture(16), Mask(torch.zeros(1, 16, 16))
    mask[:, :, 8:] = 1.0
    if later_stage:
        painted = resolved(later, picture(4), start=start, mask=mask).samples
    else:
        painted = sampled(first, start, mask=mask).samples
    assert torch.allclose(painted[..., :8], start.samples[..., :8], atol=1e-5)
    assert (painted[..., 8:] - start.samples[..., 8:]).abs().mean() > 0.1


def test_a_large_start_counts_besides_the_small_picture(later: Denoiser) -> None:
    start, small = picture(16), picture(4, seed=8)
    changed = resolved(later, small, start=start, schedule="smart50", denoise=0.1).samples
    assert changed.shape == start.samples.shape
    assert (changed - start.samples).abs().mean() < 0.3


def definition(estimate: Tensor, percentile: float, maximum: float) -> Tensor:
    """Each picture: s is the percentile of the absolute values, 1 at least, c at most; cut to -s..s, over s."""
    cut = []
    for one in estimate:
        values = one.abs().flatten().sort().values
        place = percentile * (len(values) - 1)
        low = int(place)
        high = min(low + 1, len(values) - 1)
        quantile = float(values[low] + (values[high] - values[low]) * (place - low))
        s = min(max(quantile, 1.0), maximum)
        cut.append(one.clamp(-s, s) / s)
    return torch.stack(cut)


@pytest.mark.parametrize("maximum", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("percentile", [0.0, 0.9, 0.95, 1.0])
def test_dynamic_thresholding_is_its_definition(percentile: float, maximum: float) -> None:
    estimate = noise(3, 3, 8, 8) * torch.tensor([0.2, 1.0, 3.0]).view(-1, 1, 1, 1)
    rule: Callable[[Any, Tensor], Tensor] = DynamicThreshold(percentile, 1.0, maximum).after
    assert torch.allclose(rule(None, estimate), definition(estimate, percentile, maximum), atol=1e-6)


def test_a_first_stage_where_a_later_one_belongs_is_refused(first: Denoiser) -> None:
    expected = r"input stage: this is another stage .* expected a super-resolution stage .* got a first stage \(I\)"
    with pytest.raises(CascadeError, match=expected):
        resolved(first, picture())


def test_a_later_stage_where_the_first_belongs_is_refused(later: Denoiser) -> None:
    with pytest.raises(
        CascadeError, match=r"expected a first stage \(I\), got a super-resolution .* CascadeSuperResolve"
    ):
        sampled(later)


def test_a_model_of_latents_is_refused(first: Denoiser) -> None:
    with pytest.raises(CascadeError, match=r"input stage: this model works on latents: .* got a model of 4 channels"):
        sampled(replace(first, latents=LatentFormat()))


def test_words_of_another_encoder_are_refused(first: Denoiser) -> None:
    other = Conditioning((Prompt(torch.zeros(1, 5, 10)),))
    with pytest.raises(MissingExtraError, match=rf"inputs positive and negative: .* width {ENCODER}, got 10"):
        sampled(first, positive=other)


@pytest.mark.parametrize("level", [-0.1, 1.1])
def test_a_noise_level_out_of_range_is_refused(later: Denoiser, level: float) -> None:
    with pytest.raises(BoundsError, match=rf"input noise_level: .* expected 0 to 1, got {level}"):
        resolved(later, picture(), noise_level=level)


def test_a_later_stage_sampled_without_its_small_picture_says_so(later: Denoiser) -> None:
    options: Any = {"noise_seed": 4, "cfg": 3.0, "sampler": SAMPLERS["ddpm"], **SIDES}
    with pytest.raises(MissingExtraError, match=r"needs a small picture .* CascadeUpscaleConditioning"):
        drive(
            sampler_custom(later, sigmas=cascade_schedule(later, "smart27"), latent_image=picture().latent, **options)
        )  # type: ignore[arg-type]


def test_an_unknown_choice_of_steps_is_refused() -> None:
    with pytest.raises(CascadeError, match=r"input schedule: .* got clever50"):
        StageSteps("clever50").sigmas(cosine())


def test_words_of_other_lengths_are_not_repeated(first: Denoiser) -> None:
    longer = Conditioning((Prompt(noise(1, 10, ENCODER, seed=6)),))
    alone = first.answer(noise(1, 3, 8, 8), 1.0, POSITIVE.prompts[0].tokens).estimate
    twice = first.answer(noise(1, 3, 8, 8), 1.0, POSITIVE.prompts[0].tokens.repeat(1, 2, 1)).estimate
    assert (alone - twice).abs().max() > 1e-4
    with first.net.lease() as net:
        calls: list[int] = []
        hook = net.register_forward_pre_hook(lambda _net, inputs: calls.append(len(inputs[0])))
        sampled(first, negative=longer, steps=1)
        hook.remove()
    assert calls == [1, 1]
