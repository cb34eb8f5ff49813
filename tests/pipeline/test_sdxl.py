"""SDXL and its refiner through files in the original layout: equal to diffusers' pipelines, within 1e-4."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.guidance import ClassifierFreeGuidance, DualGuidance, estimates
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import Steps, drive, sample, sample_custom
from engine.models.checkpoint import Checkpoint, load_checkpoint
from engine.tensors.values import Conditioning, Image, Latent, Mask, Sizes
from nodes.families import edit_conditioning, inpaint_conditioning
from nodes.model_sampling import model_sampling_discrete
from tests.oracles.sdxl import Base, Refiner

CPU = torch.device("cpu")
PROMPT, NEGATIVE = "a red circle above a blue star", "blurry"
SEED, CFG, SIDE = 5, 6.0, 32  # pixels; the tiny autoencoder has cells of 2

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # diffusers' own


def loaded(reference: Any, folder: Path) -> Checkpoint:
    path = folder / "model.safetensors"
    save_file({name: weight.contiguous() for name, weight in reference.state.items()}, path)
    return load_checkpoint(path, CPU)


@pytest.fixture(scope="module")
def base() -> Base:
    return Base()


@pytest.fixture(scope="module")
def refiner() -> Refiner:
    return Refiner()


@pytest.fixture(scope="module")
def own_base(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return loaded(base, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def own_refiner(refiner: Refiner, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return loaded(refiner, tmp_path_factory.mktemp("refiner"))


def scheduler() -> Any:
    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )


def prompts(checkpoint: Checkpoint) -> tuple[Conditioning, Conditioning]:
    assert checkpoint.text_encoder is not None
    return checkpoint.text_encoder.encode(PROMPT), checkpoint.text_encoder.encode(NEGATIVE)


def embedded(reference: Any) -> dict[str, Tensor]:
    (states, pooled), (negative, negative_pooled) = reference.tokens(PROMPT), reference.tokens(NEGATIVE)
    return {
        "prompt_embeds": states,
        "pooled_prompt_embeds": pooled,
        "negative_prompt_embeds": negative,
        "negative_pooled_prompt_embeds": negative_pooled,
    }


def noise() -> Tensor:
    return torch.randn(1, 4, SIDE // 2, SIDE // 2, generator=torch.Generator().manual_seed(SEED))


def spread_noise() -> Tensor:
    """Noise whose spread at the first sigma is sqrt(1 + sigma^2); diffusers' scheduler multiplies by sigma alone."""
    timing = scheduler()
    timing.set_timesteps(10)
    sigma = float(timing.sigmas[0])
    return noise() * (math.sqrt(1 + sigma**2) / sigma)


def test_the_files_are_told_apart(own_base: Checkpoint, own_refiner: Checkpoint) -> None:
    assert (own_base.family.name, own_refiner.family.name) == ("SDXL", "SDXL refiner")
    assert (own_base.scale_factor, own_base.prediction) == (0.13025, "epsilon")


@pytest.mark.parametrize("text", ["", PROMPT])
def test_both_towers_are_read_before_their_last_layer(base: Base, own_base: Checkpoint, text: str) -> None:
    assert own_base.text_encoder is not None
    prompt = own_base.text_encoder.encode(text).prompts[0]
    states, pooled = base.tokens(text)
    assert states.std() > 0.05
    assert (prompt.tokens - states).abs().max() < 1e-5
    assert prompt.pooled is not None
    assert (prompt.pooled - pooled).abs().max() < 1e-5


def test_two_texts_and_long_ones_are_filled_up_with_empty_chunks(base: Base, own_base: Checkpoint) -> None:
    assert own_base.text_encoder is not None
    prompt = own_base.text_encoder.encode("cat", "dog " * 80).prompts[0]
    assert prompt.tokens.shape == (1, 154, 192)
    assert (prompt.tokens[:, :77, :64] - base.tokens("cat")[0][..., :64]).abs().max() < 1e-5
    assert (prompt.tokens[:, 77:, :64] - base.tokens("")[0][..., :64]).abs().max() < 1e-5
    assert (prompt.tokens[:, 77:, 64:] - base.tokens("dog " * 5)[0][..., 64:]).abs().max() < 1e-5


def test_the_unet_equals_diffusers(base: Base, own_base: Checkpoint) -> None:
    x, steps, context, vector = torch.randn(2, 4, 9, 11), torch.tensor([3.0, 980.0]), torch.randn(2, 5, 192), 6 * 256
    pooled, sizes = torch.randn(2, 128), torch.tensor([[512.0, 640, 0, 16, 1024, 768]] * 2)
    waves = base.unet.add_time_proj(sizes.flatten()).reshape(2, vector)
    expected = base.unet(x, steps, context, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}).sample
    with own_base.unet.lease() as net:
        gap = (net(x, steps, context, torch.cat([pooled, waves], dim=1)) - expected).abs().max()
    assert 0.05 < expected.std() < 20
    assert gap < 1e-5


def test_sizes_default_to_the_canvas_and_can_be_told(base: Base, own_base: Checkpoint) -> None:
    model, x = denoiser_of(own_base), noise()
    positive, _ = prompts(own_base)
    sizes = Sizes(100, 200, 3, 4, 500, 600)
    told = Conditioning(tuple(replace(p, extras=replace(p.extras, sizes=sizes)) for p in positive.prompts))
    states, pooled = base.tokens(PROMPT)
    for asked, numbers in ((positive, (SIDE, SIDE, 0, 0, SIDE, SIDE)), (told, (100, 200, 3, 4, 500, 600))):
        sigma = model.levels.sigmas[500]
        added = {"text_embeds": pooled, "time_ids": torch.tensor([numbers], dtype=torch.float32)}
        predicted = base.unet(x / math.sqrt(1 + sigma**2), 500, states, added_cond_kwargs=added).sample
        (own,) = estimates(model, x, sigma, [asked])
        assert (own - (x - sigma * predicted)).abs().max() < 1e-4


def picture(checkpoint: Checkpoint, model: Denoiser, sides: tuple[Conditioning, Conditioning], latent: Latent,
            steps: Steps) -> Tensor:  # fmt: skip
    assert checkpoint.vae is not None
    return checkpoint.vae.decode(drive(sample(model, *sides, latent, seed=SEED, cfg=CFG, steps=steps)).samples)


def test_text_to_image(base: Base, own_base: Checkpoint) -> None:
    pipeline: Any = StableDiffusionXLPipeline(
        base.vae, base.first, base.second, None, None, base.unet, scheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        **embedded(base), height=SIDE, width=SIDE, num_inference_steps=10, guidance_scale=CFG, latents=spread_noise(),
        output_type="pt",
    )  # fmt: skip
    expected = made.images.movedim(1, -1)
    empty = Latent(torch.zeros(1, 4, SIDE // 8, SIDE // 8), empty=True)
    own = picture(own_base, denoiser_of(own_base), prompts(own_base), empty, Steps(10, "euler", "simple"))
    assert expected.std() > 0.01
    assert (own - expected).abs().max() < 1e-4


def test_the_refiner_continues_what_the_base_began(
    base: Base, refiner: Refiner, own_base: Checkpoint, own_refiner: Checkpoint
) -> None:
    first: Any = StableDiffusionXLPipeline(
        base.vae, base.first, base.second, None, None, base.unet, scheduler(), add_watermarker=False
    )
    second: Any = StableDiffusionXLImg2ImgPipeline(
        refiner.vae, None, refiner.second, None, None, refiner.unet, scheduler(), requires_aesthetics_score=True,
        add_watermarker=False,
    )  # fmt: skip
    for pipeline in (first, second):
        pipeline.set_progress_bar_config(disable=True)
    shared = {"num_inference_steps": 10, "guidance_scale": CFG}
    begun = first(
        **embedded(base),
        **shared,
        height=SIDE,
        width=SIDE,
        latents=spread_noise(),
        denoising_end=0.8,
        output_type="latent",
    ).images
    expected = second(**embedded(refiner), **shared, image=begun, denoising_start=0.8, output_type="pt").images.movedim(
        1, -1
    )
    empty = Latent(torch.zeros(1, 4, SIDE // 8, SIDE // 8), empty=True)
    plan = Steps(10, "euler", "simple", end=8, to_zero=False)
    latent = drive(sample(denoiser_of(own_base), *prompts(own_base), empty, seed=SEED, cfg=CFG, steps=plan))
    rest = drive(
        sample(
            denoiser_of(own_refiner), *prompts(own_refiner), latent, seed=SEED, cfg=CFG,
            steps=Steps(10, "euler", "simple", start=8), add_noise=False,
        )
    )  # fmt: skip
    assert own_refiner.vae is not None
    own = own_refiner.vae.decode(rest.samples)
    assert (latent.samples * 0.13025 - begun).abs().max() < 1e-4 * begun.abs().max()
    assert (own - expected).abs().max() < 1e-4


def test_one_step_without_guidance_paints_as_turbo_does(base: Base, own_base: Checkpoint) -> None:
    pipeline: Any = StableDiffusionXLPipeline(
        base.vae, base.first, base.second, None, None, base.unet, scheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    states, pooled = base.tokens(PROMPT)
    made = pipeline(
        prompt_embeds=states, pooled_prompt_embeds=pooled, height=SIDE, width=SIDE, num_inference_steps=1,
        guidance_scale=0.0, latents=spread_noise(), output_type="pt",
    )  # fmt: skip
    steps, empty = Steps(1, "euler", "sgm_uniform"), Latent(torch.zeros(1, 4, SIDE // 8, SIDE // 8), empty=True)
    painted = drive(sample(denoiser_of(own_base), *prompts(own_base), empty, seed=SEED, cfg=1.0, steps=steps))
    assert own_base.vae is not None
    assert (own_base.vae.decode(painted.samples) - made.images.movedim(1, -1)).abs().max() < 1e-4


def test_sdxl_inpaints(tmp_path: Path) -> None:
    system = Base(9)
    own = loaded(system, tmp_path)
    pipeline: Any = StableDiffusionXLInpaintPipeline(
        system.vae, system.first, system.second, None, None, system.unet, scheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    pixels = torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(9))
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., SIDE // 2 :] = 1
    image = pixels.movedim(-1, 1) * 2 - 1
    left = system.vae.encode(image * (mask < 0.5)).latent_dist.mode() * 0.13025  # the pipeline would draw from it
    made = pipeline(
        **embedded(system), image=image, mask_image=mask, masked_image_latents=left, height=SIDE, width=SIDE,
        num_inference_steps=10, guidance_scale=CFG, latents=spread_noise(), strength=1.0, output_type="pt",
    )  # fmt: skip
    assert own.family.name == "SDXL inpainting"
    assert own.vae is not None
    positive, negative, _ = inpaint_conditioning(*prompts(own), own.vae, Image(pixels), Mask(mask[:, 0]))
    blank = Latent(torch.zeros(1, 4, SIDE // 2, SIDE // 2), downscale=2)
    painted = picture(own, denoiser_of(own), (positive, negative), blank, Steps(10, "euler", "simple"))
    assert (painted - made.images.movedim(1, -1)).abs().max() < 1e-4


def test_sdxl_edits_pictures_as_it_is_told(tmp_path: Path) -> None:
    system = Base(8)
    own = loaded(system, tmp_path)
    pipeline: Any = StableDiffusionXLInstructPix2PixPipeline(
        system.vae, system.first, system.second, None, None, system.unet, scheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    pixels = torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(9))
    made = pipeline(
        **embedded(system), image=pixels.movedim(-1, 1) * 2 - 1, height=SIDE, width=SIDE, num_inference_steps=10,
        guidance_scale=7.5, image_guidance_scale=1.5, latents=spread_noise(), output_type="pt",
    )  # fmt: skip
    assert own.family.name == "SDXL InstructPix2Pix"
    assert own.vae is not None
    positive, negative, latent = edit_conditioning(*prompts(own), own.vae, Image(pixels))
    model = denoiser_of(own)
    guider = DualGuidance(model, positive, negative, prompts(own)[1], 7.5, 1.5)
    sigmas = Steps(10, "euler", "simple").sigmas(model.levels)
    painted, _ = drive(sample_custom(guider, SAMPLERS["euler"], sigmas, latent, seed=SEED))
    expected = made.images.movedim(1, -1)
    assert expected.std() > 0.01
    assert (own.vae.decode(painted.samples) - expected).abs().max() < 1e-4


def test_sdxl_consistency_models_are_told_the_scale(tmp_path: Path) -> None:
    system = Base(time_cond_proj_dim=256)
    own = loaded(system, tmp_path)
    pipeline: Any = StableDiffusionXLPipeline(
        system.vae, system.first, system.second, None, None, system.unet, LCMScheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    states, pooled = system.tokens(PROMPT)
    made = pipeline(
        prompt_embeds=states, pooled_prompt_embeds=pooled, height=SIDE, width=SIDE, num_inference_steps=1,
        guidance_scale=7.0, latents=noise(), output_type="pt",
    )  # fmt: skip
    model = model_sampling_discrete(denoiser_of(own), "lcm")
    sigma = model.levels.sigma_max
    estimate = ClassifierFreeGuidance(model, *prompts(own), 7.0).denoise(noise() * math.sqrt(1 + sigma**2), sigma)
    assert own.vae is not None
    assert own.family.name == "SDXL"
    gap = own.vae.decode(model.latents.unscaled(estimate)) - made.images.movedim(1, -1)
    assert gap.abs().max() < 1e-4
