"""Whole runs with LoRAs and textual inversions equal diffusers' pipelines that loaded the same files, within 1e-4."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LCMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.guidance import ClassifierFreeGuidance
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import Steps, drive, sample, sample_custom
from engine.models.checkpoint import Checkpoint, load_checkpoint
from engine.models.text.embeddings import read_embedding
from engine.models.text.encoder import TextEncoder
from engine.node import NodeContext
from engine.tensors.values import Latent
from nodes.adapters import load_lora, load_lora_model_only
from nodes.model_sampling import model_sampling_discrete
from tests.oracles.sdxl import Base
from tests.oracles.systems import CFG, CPU, NEGATIVE, PROMPT, SEED, STEPS, System, noise, scheduler, spread_noise
from tests.oracles.tokenizers import clip
from tests.unit.models.adapters.files import diffusers_modules, kohya, pairs
from tests.unit.nodes.test_loaders import Models

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Already found a `peft_config`:UserWarning"
)  # diffusers' own
BLANK = Latent(torch.zeros(1, 4, 16, 16), downscale=2)  # of 32 x 32 pixels
TOWER = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")  # all of which diffusers expects
LCM_TIMES = (999, 759, 499, 259)  # of LCMScheduler, for four steps


@pytest.fixture(scope="module")
def system() -> System:
    return System(old=True)


@pytest.fixture
def checkpoint(system: System, tmp_path: Path) -> Checkpoint:
    return system.loaded(tmp_path)


@pytest.fixture
def ctx(tmp_path: Path) -> NodeContext:
    (tmp_path / "loras").mkdir()
    return NodeContext(Models(tmp_path))


def oracle(system: System, timing: Any) -> tuple[Any, System]:
    """diffusers' pipeline of nets that adapters may change, and the system of these."""
    own = copy.copy(system)
    own.unet, own.text = copy.deepcopy(system.unet), copy.deepcopy(system.text)
    pipeline: Any = StableDiffusionPipeline(
        own.vae, own.text, clip(), own.unet, timing, None, None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, own


def painted(checkpoint: Checkpoint, model: Denoiser, encoder: TextEncoder, prompt: str = PROMPT) -> Tensor:
    assert checkpoint.vae is not None
    sides = encoder.encode(prompt), encoder.encode(NEGATIVE)
    steps = Steps(STEPS, "euler", "simple")
    return checkpoint.vae.decode(drive(sample(model, *sides, BLANK, seed=SEED, cfg=CFG, steps=steps)).samples)


def lora(system: System, seed: int) -> dict[str, Tensor]:
    """A file of kohya's trainer for a system's net and its text tower."""
    unet = kohya(pairs(diffusers_modules(system.unet, "to_q", "to_v", "proj_in", "conv1"), seed), "lora_unet_")
    text = {
        f"text_model.{name.removeprefix('text_model.')}": pair
        for name, pair in pairs(diffusers_modules(system.text, *TOWER), seed + 5).items()
    }
    return unet | kohya(text, "lora_te_")


def test_two_loras_with_strengths_for_net_and_words(
    system: System, checkpoint: Checkpoint, ctx: NodeContext, tmp_path: Path
) -> None:
    pipeline, other = oracle(system, scheduler())
    model, encoder, weights = denoiser_of(checkpoint), checkpoint.text_encoder, []
    assert encoder is not None
    plain = painted(checkpoint, model, encoder)
    for seed, (for_net, for_words) in enumerate(((0.8, 0.3), (-0.4, 0.6))):
        save_file(lora(system, seed), tmp_path / "loras" / f"{seed}.safetensors")
        model, encoder = load_lora(model, encoder, f"{seed}.safetensors", for_net, for_words, ctx)
        pipeline.load_lora_weights(tmp_path / "loras", weight_name=f"{seed}.safetensors", adapter_name=f"lora{seed}")
        weights.append({"unet": for_net, "text_encoder": for_words})
    pipeline.set_adapters(["lora0", "lora1"], weights)
    timing = pipeline.scheduler
    expected = pipeline(
        prompt_embeds=other.tokens(PROMPT), negative_prompt_embeds=other.tokens(NEGATIVE), height=32, width=32,
        num_inference_steps=STEPS, guidance_scale=CFG, latents=spread_noise(timing, 1, 4, 16, 16), output_type="pt",
    ).images.movedim(1, -1)  # fmt: skip
    own = painted(checkpoint, model, encoder)
    assert (own - expected).abs().max() < 1e-4
    assert (own - plain).abs().max() > 1e-2


def test_four_steps_of_consistency_with_a_lora(
    system: System, checkpoint: Checkpoint, ctx: NodeContext, tmp_path: Path
) -> None:
    pipeline, other = oracle(system, LCMScheduler())
    file = {name: weight for name, weight in lora(system, 3).items() if name.startswith("lora_unet_")}
    save_file(file, tmp_path / "loras" / "lcm.safetensors")
    pipeline.load_lora_weights(tmp_path / "loras", weight_name="lcm.safetensors")
    expected = pipeline(
        prompt_embeds=other.tokens(PROMPT), height=32, width=32, num_inference_steps=4, guidance_scale=1.0,
        latents=noise(1, 4, 16, 16), generator=torch.Generator().manual_seed(SEED + 1), output_type="pt",
    ).images.movedim(1, -1)  # fmt: skip
    assert tuple(pipeline.scheduler.timesteps.tolist()) == LCM_TIMES
    adapted = load_lora_model_only(denoiser_of(checkpoint), "lcm.safetensors", 1.0, ctx)
    model = model_sampling_discrete(adapted, "lcm")
    assert checkpoint.text_encoder is not None
    assert checkpoint.vae is not None
    positive = checkpoint.text_encoder.encode(PROMPT)
    sigmas = [adapted.levels.sigmas[time] for time in LCM_TIMES] + [0.0]
    start = Latent(noise(1, 4, 16, 16) * (1 + sigmas[0] ** 2) ** 0.5 / model.latents.scale_factor, downscale=2)
    guider = ClassifierFreeGuidance(model, positive, positive, 1.0)
    own, _ = drive(sample_custom(guider, SAMPLERS["lcm"], sigmas, start, seed=SEED, add_noise=False))
    assert (checkpoint.vae.decode(own.samples) - expected).abs().max() < 1e-4


def test_a_new_word_of_several_vectors(system: System, tmp_path: Path) -> None:
    pipeline, other = oracle(system, scheduler())
    vectors = noise(3, 128)
    save_file({"emb_params": vectors}, tmp_path / "shield.safetensors")
    pipeline.load_textual_inversion({"<shield>": vectors}, token="<shield>")
    timing = pipeline.scheduler
    expected = pipeline(
        "a <shield> above a blue star", negative_prompt_embeds=other.tokens(NEGATIVE), height=32, width=32,
        num_inference_steps=STEPS, guidance_scale=CFG, latents=spread_noise(timing, 1, 4, 16, 16), output_type="pt",
    ).images.movedim(1, -1)  # fmt: skip
    own = system.loaded(tmp_path, embeddings=lambda name: read_embedding(tmp_path / f"{name}.safetensors"))
    assert own.text_encoder is not None
    picture = painted(own, denoiser_of(own), own.text_encoder, "a embedding:shield above a blue star")
    assert (picture - expected).abs().max() < 1e-4
    assert (picture - painted(own, denoiser_of(own), own.text_encoder)).abs().max() > 1e-2


def test_a_new_word_for_both_towers_of_sdxl(tmp_path: Path) -> None:
    system, tokenizers = Base(), [clip(), clip()]
    save_file(system.state, tmp_path / "xl.safetensors")
    vectors = {"clip_l": noise(2, 64), "clip_g": noise(2, 128)}
    save_file(vectors, tmp_path / "shield.safetensors")
    checkpoint = load_checkpoint(
        tmp_path / "xl.safetensors", CPU, embeddings=lambda name: read_embedding(tmp_path / f"{name}.safetensors")
    )
    pipeline: Any = StableDiffusionXLPipeline(
        system.vae, system.first, system.second, *tokenizers, system.unet, scheduler()
    )
    tokenizers[1].pad_token_id = 0
    for own, tower, tokenizer in zip(vectors.values(), (system.first, system.second), tokenizers, strict=True):
        pipeline.load_textual_inversion({"<shield>": own}, "<shield>", tokenizer=tokenizer, text_encoder=tower)
    states, _, pooled, _ = pipeline.encode_prompt("a <shield> star", do_classifier_free_guidance=False)
    assert checkpoint.text_encoder is not None
    prompt = checkpoint.text_encoder.encode("a embedding:shield star").prompts[0]
    assert (prompt.tokens - states).abs().max() < 1e-5
    assert prompt.pooled is not None
    assert (prompt.pooled - pooled).abs().max() < 1e-5
