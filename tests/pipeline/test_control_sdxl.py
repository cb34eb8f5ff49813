"""Whole runs of SDXL with ControlNets, adapters and pictures equal diffusers' pipelines, within 1e-4."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionXLAdapterPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLControlNetUnionPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.models.checkpoint import Checkpoint, load_checkpoint
from engine.models.control.ip_adapter import load_ip_adapter
from engine.models.control.reading import load_control
from engine.models.vision.tower import load_image_encoder
from engine.tensors.values import Conditioning, Image, Latent
from nodes.control import apply_control_advanced, set_union_type
from nodes.picture_prompts import apply_ip_adapter
from tests.oracles import control, families, pictures, sd1, vision
from tests.oracles.sd1 import State
from tests.oracles.sdxl import Base
from tests.oracles.systems import CFG, CPU, NEGATIVE, PROMPT, SEED, scheduler

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # diffusers' own
SIDE, STEPS = 64, 4  # pixels, for an autoencoder with cells of 8, which hints need
HINT_NET = (16, 16, 32, 32)
Sides = tuple[Conditioning, Conditioning]


@pytest.fixture(scope="module")
def system() -> Base:
    return Base(vae=sd1.autoencoder((32, 32, 32, 32), 1))


@pytest.fixture(scope="module")
def checkpoint(system: Base, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(saved(tmp_path_factory.mktemp("system") / "xl.safetensors", system.state), CPU)


def saved(path: Path, state: State) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def hint(seed: int = 0) -> Image:
    return Image(torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(seed)))


def prompts(checkpoint: Checkpoint) -> Sides:
    assert checkpoint.text_encoder is not None
    return checkpoint.text_encoder.encode(PROMPT), checkpoint.text_encoder.encode(NEGATIVE)


def picture(checkpoint: Checkpoint, sides: Sides, denoiser: Denoiser | None = None) -> Tensor:
    assert checkpoint.vae is not None
    empty, steps = Latent(torch.zeros(1, 4, SIDE // 8, SIDE // 8), empty=True), Steps(STEPS, "euler", "simple")
    model = denoiser or denoiser_of(checkpoint)
    return checkpoint.vae.decode(drive(sample(model, *sides, empty, seed=SEED, cfg=CFG, steps=steps)).samples)


def made(kind: Any, system: Base, parts: dict[str, Any], **options: Any) -> Tensor:
    """A picture of diffusers' pipeline, from the noise that our run begins with."""
    timing = scheduler()
    shared = {"tokenizer": None, "tokenizer_2": None, "scheduler": timing}
    nets = {"vae": system.vae, "text_encoder": system.first, "text_encoder_2": system.second, "unet": system.unet}
    pipeline = kind(**nets | shared | parts)
    pipeline.set_progress_bar_config(disable=True)
    timing.set_timesteps(STEPS)
    noise = torch.randn(1, 4, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(SEED))
    spread = math.sqrt(1 + float(timing.sigmas[0]) ** 2)
    for side, text in (("", PROMPT), ("negative_", NEGATIVE)):
        options[f"{side}prompt_embeds"], options[f"{side}pooled_prompt_embeds"] = system.tokens(text)
    out = pipeline(
        height=SIDE, width=SIDE, num_inference_steps=STEPS, guidance_scale=CFG, output_type="pt",
        latents=noise * spread / float(timing.init_noise_sigma), **options,
    )  # fmt: skip
    result: Tensor = out.images.movedim(1, -1)
    assert result.std() > 0.01
    return result


def controlled(checkpoint: Checkpoint, path: Path, strength: float, end: float = 1.0, task: str = "auto") -> Tensor:
    model = load_control(path, CPU)
    if task != "auto":
        model = set_union_type(model, task)
    return picture(checkpoint, apply_control_advanced(*prompts(checkpoint), model, hint(), strength, 0.0, end))


@pytest.fixture(scope="module")
def plain(checkpoint: Checkpoint) -> Tensor:
    return picture(checkpoint, prompts(checkpoint))


def assert_same(own: Tensor, expected: Tensor, plain: Tensor) -> None:
    assert (own - expected).abs().max() < 1e-4
    assert (own - plain).abs().max() > 2e-3


@pytest.mark.parametrize("end", [1.0, 0.5])
def test_a_controlnet_for_a_share_of_the_steps(
    system: Base, checkpoint: Checkpoint, plain: Tensor, tmp_path: Path, end: float
) -> None:
    net = control.controlnet(system.unet, hint=HINT_NET)
    own = controlled(checkpoint, saved(tmp_path / "canny.safetensors", control.controlnet_state(net)), 0.6, end)
    told = {"controlnet_conditioning_scale": 0.6, "control_guidance_end": end}
    parts = {"controlnet": net}
    expected = made(StableDiffusionXLControlNetPipeline, system, parts, image=hint().movedim(-1, 1), **told)
    assert_same(own, expected, plain)


def test_a_union_that_is_told_its_task(system: Base, checkpoint: Checkpoint, plain: Tensor, tmp_path: Path) -> None:
    net = control.controlnet(system.unet, union=True, hint=HINT_NET)
    path = saved(tmp_path / "union.safetensors", dict(net.state_dict()))
    own = controlled(checkpoint, path, 0.6, task="depth")
    told = {"controlnet_conditioning_scale": 0.6, "control_image": [hint().movedim(-1, 1)], "control_mode": [1]}
    expected = made(StableDiffusionXLControlNetUnionPipeline, system, {"controlnet": net}, **told)
    assert_same(own, expected, plain)


def test_a_control_lora_is_the_controlnet_that_it_makes_of_the_model(
    system: Base, checkpoint: Checkpoint, plain: Tensor, tmp_path: Path
) -> None:
    net: ControlNetModel = control.controlnet(system.unet, hint=HINT_NET)
    file, summed = control.lora_of(net, families.unet_state(system.unet))
    own = controlled(checkpoint, saved(tmp_path / "lora.safetensors", file), 0.8)
    for name, weight in control.controlnet_state(net).items():
        weight.copy_(summed[name])  # both name the same memory
    told = {"image": hint().movedim(-1, 1), "controlnet_conditioning_scale": 0.8}
    expected = made(StableDiffusionXLControlNetPipeline, system, {"controlnet": net}, **told)
    assert_same(own, expected, plain)


def test_a_t2i_adapter(system: Base, checkpoint: Checkpoint, plain: Tensor, tmp_path: Path) -> None:
    net = control.adapter((64, 64, 128, 128), "full_adapter_xl")
    own = controlled(checkpoint, saved(tmp_path / "t2i.safetensors", control.adapter_state(net)), 0.7)
    told = {"image": hint().movedim(-1, 1), "adapter_conditioning_scale": 0.7}
    expected = made(StableDiffusionXLAdapterPipeline, system, {"adapter": net}, **told)
    assert_same(own, expected, plain)


@pytest.mark.parametrize("form", ["plain", "plus"])
def test_an_ip_adapter(system: Base, checkpoint: Checkpoint, plain: Tensor, tmp_path: Path, form: str) -> None:
    encoder = load_image_encoder(saved(tmp_path / "vision.safetensors", vision.tower().state_dict()), CPU)
    shown = Image(torch.rand(1, 28, 28, 3, generator=torch.Generator().manual_seed(6)))
    states, nothing = encoder.encode(shown), encoder.nothing()
    seen = states.embeddings if form == "plain" else states.penultimate
    away = torch.zeros_like(seen) if form == "plain" else nothing.penultimate
    unet = copy.deepcopy(system.unet)
    state = pictures.ip_adapter(unet, form, seen.shape[-1])
    model = load_ip_adapter(saved(tmp_path / "ip.safetensors", pictures.flat(state)), CPU)
    changed = apply_ip_adapter(denoiser_of(checkpoint), model, shown, 1.0, clip_vision=encoder)
    own = picture(checkpoint, prompts(checkpoint), changed)
    unet._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [1.0]
    told = {"ip_adapter_image_embeds": [torch.stack([away, seen])]}
    expected = made(StableDiffusionXLPipeline, system, {"unet": unet, "image_encoder": None}, **told)
    assert_same(own, expected, plain)
