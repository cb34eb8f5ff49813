"""Whole runs of the families after SD1 through files in the original layout, against diffusers' own pipelines."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionDepth2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionUpscalePipeline,
    StableUnCLIPImg2ImgPipeline,
)
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from torch import Tensor
from torch.nn import functional as F

from engine.diffusion.denoiser import denoiser_of
from engine.diffusion.extras import MissingExtraError
from engine.diffusion.guidance import ClassifierFreeGuidance, DualGuidance, estimates
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import Steps, drive, sample, sample_custom
from engine.models.folder import load_folder
from engine.models.vision.tower import load_image_encoder, prepared
from engine.tensors.values import Extras, Image, Latent, Mask, Prompt, Seen
from nodes.families import (
    depth_conditioning,
    edit_conditioning,
    inpaint_conditioning,
    upscale_conditioning,
    with_extras,
)
from nodes.model_sampling import model_sampling_discrete
from nodes.vision import encode_image, unclip_conditioning
from tests.oracles import families, folders, systems, vision
from tests.oracles.systems import CFG, SEED, STEPS, System, Upscaler, noise, picture, scheduler, sides, spread_noise

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # diffusers' own

EMPTY = Latent(torch.zeros(1, 4, 4, 4), empty=True)  # of 32 x 32 pixels


def plain(kind: Any, system: System, timing: Any) -> Any:
    """A pipeline of a system's parts without safety checker."""
    pipeline = kind(
        vae=system.vae,
        text_encoder=system.text,
        tokenizer=None,
        unet=system.unet,
        scheduler=timing,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return quiet(pipeline)


def quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def embedded(system: System) -> dict[str, Tensor]:
    return {
        "prompt_embeds": system.tokens(systems.PROMPT),
        "negative_prompt_embeds": system.tokens(systems.NEGATIVE),
    }


def shown(seed: int = 9) -> Tensor:
    return torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(seed))


SHARED = {"num_inference_steps": STEPS, "output_type": "pt"}


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_sd2_paints_as_diffusers_does(tmp_path: Path, prediction: Any) -> None:
    system = System()
    own = system.loaded(tmp_path, prediction=prediction)
    timing = scheduler("v_prediction" if prediction == "v" else "epsilon")
    pipeline = plain(StableDiffusionPipeline, system, timing)
    made = pipeline(
        **embedded(system),
        **SHARED,
        height=32,
        width=32,
        guidance_scale=CFG,
        latents=spread_noise(timing, 1, 4, 16, 16),
    )
    expected = made.images.movedim(1, -1)
    assert own.family.name == "SD 2.x"
    assert expected.std() > 0.01
    assert (picture(own, sides(own), EMPTY) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("factor", "prediction"), [(0.5, "epsilon"), (5.0, "v")])
def test_a_bias_tells_v_prediction_and_can_be_overridden(tmp_path: Path, factor: float, prediction: str) -> None:
    system = System()
    name = "model.diffusion_model.output_blocks.5.1.transformer_blocks.0.norm1.bias"
    system.state[name] = system.state[name] * factor
    assert system.loaded(tmp_path).prediction == prediction
    assert system.loaded(tmp_path, prediction="epsilon").prediction == "epsilon"


@pytest.mark.parametrize("old", [True, False])
def test_one_step_without_guidance_paints_as_turbo_does(tmp_path: Path, old: bool) -> None:
    system = System(old=old)
    own, timing = system.loaded(tmp_path), scheduler()
    timing.set_timesteps(1)
    start = noise(1, 4, 16, 16) * (1 + float(timing.sigmas[0]) ** 2) ** 0.5 / float(timing.sigmas[0])
    made = plain(StableDiffusionPipeline, system, timing)(
        prompt_embeds=system.tokens(systems.PROMPT), num_inference_steps=1, guidance_scale=0.0, height=32, width=32,
        latents=start, output_type="pt",
    )  # fmt: skip
    steps = Steps(1, "euler", "sgm_uniform")
    painted = drive(sample(denoiser_of(own), *sides(own), EMPTY, seed=SEED, cfg=1.0, steps=steps))
    assert own.vae is not None
    assert made.images.std() > 0.01
    assert (own.vae.decode(painted.samples) - made.images.movedim(1, -1)).abs().max() < 1e-4


def test_taiyi_paints_what_chinese_words_say(tmp_path: Path) -> None:
    folder, bert = folders.taiyi(tmp_path / "taiyi")
    system, timing = System(old=True), scheduler()
    asked, empty = torch.tensor([[2, 4, 5, 6, 3, *[0] * 11]]), torch.tensor([[2, 3, *[0] * 14]])
    made = plain(StableDiffusionPipeline, system, timing)(
        prompt_embeds=bert(asked).last_hidden_state, negative_prompt_embeds=bert(empty).last_hidden_state, **SHARED,
        height=32, width=32, guidance_scale=CFG, latents=spread_noise(timing, 1, 4, 16, 16),
    )  # fmt: skip
    own = load_folder(folder, systems.CPU)
    assert own.text_encoder is not None
    words = own.text_encoder.encode("一只猫"), own.text_encoder.encode("")
    assert made.images.std() > 0.01
    assert (picture(own, words, EMPTY) - made.images.movedim(1, -1)).abs().max() < 1e-4


@pytest.mark.parametrize("old", [True, False])
def test_inpainting_models_see_the_mask_and_what_is_left(tmp_path: Path, old: bool) -> None:
    system = System(old=old, channels=9)
    own, timing = system.loaded(tmp_path), scheduler()
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 16:] = 1
    pipeline = plain(StableDiffusionInpaintPipeline, system, timing)
    pixels = shown().movedim(-1, 1) * 2 - 1
    left = system.vae.encode(pixels * (mask < 0.5)).latent_dist.mode() * 0.18215  # the pipeline would draw from it
    made = pipeline(
        **embedded(system), **SHARED, image=pixels, mask_image=mask, masked_image_latents=left, guidance_scale=CFG,
        height=32, width=32, latents=spread_noise(timing, 1, 4, 16, 16), strength=1.0,
    )  # fmt: skip
    expected = made.images.movedim(1, -1)
    assert own.vae is not None
    positive, negative, latent = inpaint_conditioning(*sides(own), own.vae, Image(shown()), Mask(mask[:, 0]), False)
    blank = Latent(torch.zeros_like(latent.samples), downscale=2)
    assert own.family.name == ("SD 1.5 inpainting" if old else "SD 2.x inpainting")
    assert (picture(own, (positive, negative), blank) - expected).abs().max() < 1e-4


def test_an_inpainting_model_without_its_conditioning_sees_the_latent(tmp_path: Path) -> None:
    own = System(old=True, channels=9).loaded(tmp_path)
    assert own.vae is not None
    mask = torch.zeros(1, 32, 32)
    mask[..., 16:] = 1
    positive, negative, _ = inpaint_conditioning(*sides(own), own.vae, Image(shown()), Mask(mask))
    grey = Latent(positive.prompts[0].extras.picture, noise_mask=mask, downscale=2)
    told = with_extras(positive), with_extras(negative)
    assert torch.equal(picture(own, sides(own), grey), picture(own, told, grey))
    assert not torch.equal(picture(own, sides(own), EMPTY), picture(own, told, EMPTY))


def test_edits_lead_from_nothing_over_the_picture_to_the_text(tmp_path: Path) -> None:
    system = System(old=True, channels=8)
    own, timing = system.loaded(tmp_path), scheduler()
    pipeline = quiet(
        StableDiffusionInstructPix2PixPipeline(
            system.vae, system.text, None, system.unet, timing, None, None, None, False
        )
    )  # type: ignore[arg-type]
    made = pipeline(
        **embedded(system), **SHARED, image=shown().movedim(-1, 1) * 2 - 1, guidance_scale=7.5,
        image_guidance_scale=1.5,
        latents=spread_noise(timing, 1, 4, 16, 16),
    )  # fmt: skip
    assert own.vae is not None
    positive, negative, latent = edit_conditioning(*sides(own), own.vae, Image(shown()))
    model = denoiser_of(own)
    guider = DualGuidance(model, positive, negative, sides(own)[1], 7.5, 1.5)
    sigmas = Steps(STEPS, "euler", "simple").sigmas(model.levels)
    painted, _ = drive(sample_custom(guider, SAMPLERS["euler"], sigmas, latent, seed=SEED))
    expected = made.images.movedim(1, -1)
    assert own.family.name == "InstructPix2Pix"
    assert (own.vae.decode(painted.samples) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("old", [True, False])
def test_latent_consistency_models_are_told_the_scale(tmp_path: Path, old: bool) -> None:
    options = {"time_cond_proj_dim": 256}
    system = System(old=old, unet=systems.sd1_unet(**options)) if old else System(**options)
    own, timing = system.loaded(tmp_path), LCMScheduler()
    pipeline = plain(LatentConsistencyModelPipeline, system, timing)
    expected = pipeline(
        prompt_embeds=system.tokens(systems.PROMPT), num_inference_steps=1, guidance_scale=7.0, height=32, width=32,
        latents=noise(1, 4, 16, 16), output_type="pt",
    ).images.movedim(1, -1)  # fmt: skip
    model = model_sampling_discrete(denoiser_of(own), "lcm")
    sigma = model.levels.sigma_max
    latent = Latent(torch.zeros(1, 4, 16, 16), downscale=2)
    guider = ClassifierFreeGuidance(model, *sides(own), 7.0)
    estimate = guider.denoise(noise(1, 4, 16, 16) * math.sqrt(1 + sigma**2), sigma)
    assert own.vae is not None
    assert (own.vae.decode(model.latents.unscaled(estimate)) - expected).abs().max() < 1e-4
    steps = Steps(4, "lcm", "sgm_uniform")
    assert drive(sample(model, *sides(own), latent, seed=SEED, cfg=7.0, steps=steps)).samples.isfinite().all()


def test_the_x4_upscaler_enlarges_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, betas = Upscaler(), (1e-4, 0.02)
    own, timing = system.loaded(tmp_path), scheduler("v_prediction", betas)
    pipeline = quiet(
        StableDiffusionUpscalePipeline(
            system.vae, system.text, None, system.unet,  # type: ignore[arg-type]
            DDPMScheduler(beta_start=betas[0], beta_end=betas[1], beta_schedule="scaled_linear"), timing,
        )
    )  # fmt: skip
    small = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(9))
    made = pipeline(
        **embedded(system), **SHARED, image=small.movedim(-1, 1) * 2 - 1, noise_level=35, guidance_scale=CFG,
        latents=spread_noise(timing, 1, 4, 8, 8), generator=torch.Generator().manual_seed(SEED - 10),
    )  # fmt: skip
    positive, negative, latent = upscale_conditioning(Image(small), *sides(own), 4.0, 0.1)
    expected = made.images.movedim(1, -1)
    assert (own.family.name, own.prediction, own.downscale) == ("SD x4 upscaler", "v", 4)
    assert (own.scale_factor, expected.shape) == (0.08333, (1, 32, 32, 3))
    assert (picture(own, (positive, negative), latent) - expected).abs().max() < 1e-4
    with pytest.raises(MissingExtraError, match=r"needs a small picture with each prompt.*SD_4XUpscale_Conditioning"):
        picture(own, sides(own), latent)


@pytest.mark.parametrize("statistics", [False, True])
def test_unclip_paints_what_it_is_shown(tmp_path: Path, statistics: bool) -> None:
    system = System(vector=2 * 48, kind="projection")
    normaliser = StableUnCLIPImageNormalizer(48)
    if statistics:
        normaliser.mean.data.normal_()
        normaliser.std.data.uniform_(0.5, 2)
    own, timing = system.loaded(tmp_path, prediction="v"), scheduler("v_prediction")
    if statistics:
        own = replace(own, statistics=(normaliser.mean.data, normaliser.std.data))
    noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    pipeline = quiet(
        StableUnCLIPImg2ImgPipeline(
            None,
            None,
            normaliser,
            noising,
            None,
            system.text,
            system.unet,
            timing,
            system.vae,  # type: ignore[arg-type]
        )
    )
    embedding = noise(1, 48)
    made = pipeline.noise_image_embeddings(
        embedding, 250, torch.randn(1, 48, generator=torch.Generator().manual_seed(SEED - 10))
    )
    positive = with_extras(sides(own)[0], seen=(Seen(embedding, noise=250 / 999),))
    model = denoiser_of(own).begun(SEED, EMPTY)
    assert own.family.name == "Stable unCLIP"
    found = model.extras.vector_for(positive.prompts[0], noise(2, 4, 8, 8), 2, negative=False)
    assert found is not None
    assert (found - made).abs().max() < 1e-5
    x, sigma = noise(2, 4, 8, 8), model.levels.sigmas[500]
    predicted = system.unet(x / math.sqrt(1 + sigma**2), 500, system.tokens(systems.PROMPT).repeat(2, 1, 1),
                            class_labels=made.repeat(2, 1)).sample  # fmt: skip
    expected = x / (1 + sigma**2) - predicted * sigma / math.sqrt(1 + sigma**2)
    assert (estimates(model, x, sigma, [positive])[0] - expected).abs().max() < 1e-5


def test_a_whole_run_of_unclip_paints_as_diffusers_does(tmp_path: Path) -> None:
    system, tower = System(vector=2 * 48, kind="projection"), vision.tower()
    system.state |= families.prefixed("embedder.model.visual.", vision.open_clip_state(tower))
    own, timing = system.loaded(tmp_path, prediction="v"), scheduler("v_prediction")
    parts: Any = (
        None, tower, StableUnCLIPImageNormalizer(48), DDPMScheduler(beta_schedule="squaredcos_cap_v2"), None,
        system.text, system.unet, timing, system.vae,
    )  # fmt: skip
    encoder, pixels = load_image_encoder(tmp_path / "model.safetensors", systems.CPU), Image(shown())
    made = quiet(StableUnCLIPImg2ImgPipeline(*parts))(
        **embedded(system), **SHARED, image=prepared(pixels, encoder.side), noise_level=250, height=32, width=32,
        guidance_scale=CFG, latents=spread_noise(timing, 1, 4, 16, 16) * timing.init_noise_sigma,  # it does not do so
        generator=torch.Generator().manual_seed(SEED - 10),
    )  # fmt: skip
    positive, negative = sides(own)
    told = unclip_conditioning(positive, encode_image(encoder, pixels, "center"), 1.0, 250 / 999)
    expected = made.images.movedim(1, -1)
    assert expected.std() > 0.01
    assert (picture(own, (told, negative), EMPTY) - expected).abs().max() < 1e-4
    assert (picture(own, (positive, negative), EMPTY) - expected).abs().max() > 1e-3


def test_several_pictures_of_unclip_are_weighed_and_none_is_nothing(tmp_path: Path) -> None:
    extras = denoiser_of(System(vector=2 * 48, kind="projection").loaded(tmp_path)).extras
    x, blank = noise(1, 4, 8, 8), Prompt(noise(1, 77, 128))

    def vector(*seen: Seen) -> Tensor:
        found = extras.vector_for(replace(blank, extras=Extras(seen=seen)), x, 2, negative=False)
        assert found is not None
        return found

    one, other = Seen(noise(1, 48)), Seen(noise(2, 48)[1:], strength=0.5)
    assert not vector().any()
    assert torch.allclose(vector(replace(one, strength=2.0)), 2 * vector(one))
    assert not torch.allclose(vector(one, other), vector(one))
    with pytest.raises(MissingExtraError, match="expected an embedding of width 48, got 64"):
        vector(Seen(noise(1, 64)))


def test_depth_models_follow_a_depth_map(tmp_path: Path) -> None:
    system = System(channels=5)
    own, timing = system.loaded(tmp_path), scheduler()
    pipeline = quiet(StableDiffusionDepth2ImgPipeline(system.vae, system.text, None, system.unet, timing, None, None))  # type: ignore[arg-type]
    depth = torch.rand(1, 24, 24, generator=torch.Generator().manual_seed(9))
    pixels = shown()
    kept = system.vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mode()  # the pipeline would draw from it
    timing.set_timesteps(STEPS)
    start = kept * 0.18215 + noise(1, 4, 16, 16) * timing.sigmas[STEPS // 2]
    pipeline.prepare_latents = lambda *_: start
    made = pipeline(
        **embedded(system),
        **SHARED,
        image=pixels.movedim(-1, 1) * 2 - 1,
        depth_map=F.interpolate(depth[:, None], 32)[:, 0],
        guidance_scale=CFG,
        strength=0.5,
    )
    positive, negative = depth_conditioning(*sides(own), Image(F.interpolate(depth[:, None], 32)[:, 0, ..., None]))
    steps = Steps(STEPS // 2, "euler", "simple", denoise=0.5)
    latent = Latent(kept, downscale=2)
    painted = drive(sample(denoiser_of(own), positive, negative, latent, seed=SEED, cfg=CFG, steps=steps))
    assert own.vae is not None
    assert own.family.name == "SD 2.x depth"
    gap = (own.vae.decode(painted.samples) - made.images.movedim(1, -1)).abs().max()
    assert gap < 1e-4  # 0.001 in the denominator of the map, as in the original, which diffusers leaves out
    with pytest.raises(MissingExtraError, match=r"needs a depth map with each prompt.*DepthConditioning"):
        picture(own, sides(own), latent)
