"""Whole runs with ControlNets, adapters, boxes and pictures equal diffusers' pipelines, within 1e-4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionGLIGENPipeline,
    StableDiffusionPipeline,
)
from safetensors.torch import save_file
from torch import Tensor
from transformers import BatchEncoding

from engine.diffusion.denoiser import denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.models.checkpoint import Checkpoint
from engine.models.control.gligen import load_gligen
from engine.models.control.ip_adapter import load_ip_adapter
from engine.models.control.reading import load_control
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.vision.tower import load_image_encoder
from engine.tensors.values import Conditioning, Image, Latent
from nodes.control import apply_control_advanced
from nodes.gligen import apply_box, set_gligen_range
from nodes.picture_prompts import apply_ip_adapter
from tests.oracles import control, families, pictures, sd1, vision
from tests.oracles.sd1 import State
from tests.oracles.systems import CFG, CPU, NEGATIVE, PROMPT, SEED, STEPS, System, scheduler

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # diffusers' own
SIDE = 64  # pixels; hints need an autoencoder with cells of 8
HINT_NET = (16, 16, 32, 32)
Sides = tuple[Conditioning, Conditioning]


@pytest.fixture(scope="module")
def system() -> System:
    return System(old=True, vae=sd1.autoencoder((32, 32, 32, 32), 1))


@pytest.fixture(scope="module")
def checkpoint(system: System, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return system.loaded(tmp_path_factory.mktemp("system"))


def saved(path: Path, state: State) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def hint(seed: int) -> Image:
    return Image(torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(seed)))


def prompts(checkpoint: Checkpoint) -> Sides:
    assert checkpoint.text_encoder is not None
    return checkpoint.text_encoder.encode(PROMPT), checkpoint.text_encoder.encode(NEGATIVE)


def picture(checkpoint: Checkpoint, sides: Sides, denoiser: Any = None) -> Tensor:
    assert checkpoint.vae is not None
    empty, steps = Latent(torch.zeros(1, 4, SIDE // 8, SIDE // 8), empty=True), Steps(STEPS, "euler", "simple")
    model = denoiser or denoiser_of(checkpoint)
    return checkpoint.vae.decode(drive(sample(model, *sides, empty, seed=SEED, cfg=CFG, steps=steps)).samples)


def made(pipeline: Any, system: System, **options: Any) -> Tensor:
    """A picture of diffusers' pipeline, from the noise that our run begins with."""
    pipeline.set_progress_bar_config(disable=True)
    timing = scheduler()
    timing.set_timesteps(STEPS)
    noise = torch.randn(1, 4, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(SEED))
    spread = (1 + float(timing.sigmas[0]) ** 2) ** 0.5
    latents = noise * spread / float(timing.init_noise_sigma)
    options |= {"prompt_embeds": system.tokens(PROMPT), "negative_prompt_embeds": system.tokens(NEGATIVE)}
    out = pipeline(
        height=SIDE,
        width=SIDE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        latents=latents,
        output_type="pt",
        **options,
    )
    result = out.images.movedim(1, -1) if isinstance(out.images, Tensor) else torch.from_numpy(out.images)
    assert result.std() > 0.01
    return result


def parts(system: System) -> dict[str, Any]:
    return {"vae": system.vae, "text_encoder": system.text, "tokenizer": None, "unet": system.unet} | {
        "scheduler": scheduler(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.0, 0.5)])
def test_two_controlnets_with_strengths_and_an_end(
    system: System, checkpoint: Checkpoint, tmp_path: Path, start: float, end: float
) -> None:
    nets = [control.controlnet(system.unet, hint=HINT_NET), control.controlnet(system.unet, hint=(8, 16, 16, 24))]
    sides = prompts(checkpoint)
    for number, (net, strength) in enumerate(zip(nets, (0.5, 0.8), strict=True)):
        model = load_control(saved(tmp_path / f"{number}.safetensors", control.controlnet_state(net)), CPU)
        sides = apply_control_advanced(*sides, model, hint(number), strength, start, end)
    expected = made(
        StableDiffusionControlNetPipeline(**parts(system), controlnet=nets),
        system,
        image=[hint(0).movedim(-1, 1), hint(1).movedim(-1, 1)],
        controlnet_conditioning_scale=[0.5, 0.8],
        control_guidance_start=start,
        control_guidance_end=end,
    )
    own = picture(checkpoint, sides)
    assert (own - expected).abs().max() < 1e-4
    assert (own - picture(checkpoint, prompts(checkpoint))).abs().max() > 1e-2


def test_a_t2i_adapter_for_the_first_part(system: System, checkpoint: Checkpoint, tmp_path: Path) -> None:
    net = control.adapter((32, 64, 64))
    model = load_control(saved(tmp_path / "t2i.safetensors", control.adapter_state(net)), CPU)
    expected = made(
        StableDiffusionAdapterPipeline(**parts(system), adapter=net),
        system,
        image=hint(2).movedim(-1, 1),
        adapter_conditioning_scale=0.7,
    )
    own = picture(checkpoint, apply_control_advanced(*prompts(checkpoint), model, hint(2), 0.7))
    assert (own - expected).abs().max() < 1e-4


@pytest.mark.parametrize("form", ["plain", "plus"])
def test_an_ip_adapter(system: System, checkpoint: Checkpoint, tmp_path: Path, form: str) -> None:
    tower = vision.tower()
    encoder = load_image_encoder(saved(tmp_path / "vision.safetensors", tower.state_dict()), CPU)
    shown = Image(torch.rand(1, 28, 28, 3, generator=torch.Generator().manual_seed(6)))
    states = encoder.encode(shown)
    if form == "plain":
        seen, away = states.embeddings, torch.zeros_like(states.embeddings)
    else:
        seen, away = states.penultimate, encoder.nothing().penultimate
    unet = control.copied(system.unet)
    state = pictures.ip_adapter(unet, form, seen.shape[-1])
    model = load_ip_adapter(saved(tmp_path / "ip.safetensors", pictures.flat(state)), CPU)
    unet._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
    pipeline = StableDiffusionPipeline(**parts(system) | {"unet": unet}, image_encoder=None)
    pipeline.set_ip_adapter_scale(0.6)
    expected = made(pipeline, system, ip_adapter_image_embeds=[torch.stack([away, seen])])
    denoiser = apply_ip_adapter(denoiser_of(checkpoint), model, shown, 0.6, clip_vision=encoder)
    own = picture(checkpoint, prompts(checkpoint), denoiser)
    assert (own - expected).abs().max() < 1e-4
    assert (own - picture(checkpoint, prompts(checkpoint))).abs().max() > 1e-2


class Tokenizer:
    """As much of a tokenizer as diffusers asks phrases of."""

    def __call__(self, phrases: list[str], **_: Any) -> Any:
        rows = [families.ids(ClipTokenizer.load().encode(phrase), families.END) for phrase in phrases]
        return BatchEncoding({"input_ids": torch.cat(rows)})


@pytest.mark.parametrize("end", [1.0, 0.3])
def test_boxes_for_all_steps_and_for_the_first(tmp_path: Path, end: float) -> None:
    unet = control.gated_unet((32, 64, 64), 128)
    system = System(old=True, vae=sd1.autoencoder((32, 32, 32, 32), 1))
    system.unet = unet
    own_state, layers = control.gligen_states(unet)
    prefix = "model.diffusion_model."
    system.state = {k: w for k, w in system.state.items() if not k.startswith(prefix)}
    system.state |= families.prefixed(prefix, own_state)
    checkpoint = system.loaded(tmp_path)
    model = load_gligen(saved(tmp_path / "gligen.safetensors", layers), CPU)
    positive, negative = prompts(checkpoint)
    assert checkpoint.text_encoder is not None
    for text, box in (("a red circle", (32, 24, 8, 16)), ("a blue star", (40, 40, 24, 0))):
        positive = apply_box(positive, checkpoint.text_encoder, model, text, *box)
    own = picture(checkpoint, (set_gligen_range(positive, 0.0, end), negative))
    given = parts(system) | {"tokenizer": Tokenizer()}
    expected = made(
        StableDiffusionGLIGENPipeline(**given),
        system,
        prompt=None,
        gligen_scheduled_sampling_beta=end,
        gligen_phrases=["a red circle", "a blue star"],
        gligen_boxes=[[8 / 64, 16 / 64, 40 / 64, 40 / 64], [24 / 64, 0, 1.0, 40 / 64]],
    )
    assert (own - expected).abs().max() < 1e-4
    assert (own - picture(checkpoint, prompts(checkpoint))).abs().max() > 1e-2
