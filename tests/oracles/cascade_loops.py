"""Two tiny stages of a cascade as diffusers' pipelines run them, with the noise that the engine draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from diffusers import DDPMScheduler
from diffusers.pipelines.deepfloyd_if import timesteps as published
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.cascade import stage_denoiser
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.extras import NOISE_SEED_OFFSET
from engine.models.cascade import load_stage
from engine.tensors.noise import GaussianNoise, initial_noise
from engine.tensors.values import Conditioning, Prompt
from tests.oracles.cascade import ENCODER, original_state, unet
from tests.unit.diffusion.nets import noise

CPU = torch.device("cpu")
SEED, CFG, LARGE_CFG, LEVEL = 5, 7.0, 4.0, 0.25
STEPS = "super27"
WORDS, AWAY = noise(1, 7, ENCODER, seed=1), noise(1, 7, ENCODER, seed=2)
POSITIVE, NEGATIVE = (Conditioning((Prompt(tokens),)) for tokens in (WORDS, AWAY))
SIDES = {"prompt_embeds": WORDS, "negative_prompt_embeds": AWAY, "output_type": "pt"}


class Twins:
    """Both stages as diffusers has them, and loaded from files in the original layout."""

    def __init__(self, folder: Path) -> None:
        self.first, self.second = (
            unet((32, 96), (1, 1), size=8),
            unet((32, 96), (1, 2), upscaling=True, size=32, seed=1),
        )
        with torch.no_grad():
            for net in self.nets:  # random nets amplify rounding from step to step, which trained ones do not
                net.conv_out.weight.mul_(0.3)
        self.own = [self._loaded(net, folder / f"{number}.safetensors") for number, net in enumerate(self.nets)]

    @property
    def nets(self) -> tuple[Any, Any]:
        return self.first, self.second

    def _loaded(self, net: Any, path: Path) -> Denoiser:
        save_file(original_state(net), path)
        return stage_denoiser(load_stage(path, CPU))


def scheduler(maximum: float) -> DDPMScheduler:
    """As published."""
    kind = {"beta_schedule": "squaredcos_cap_v2", "variance_type": "learned_range"}
    return DDPMScheduler(**kind, thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=maximum)


def pipeline(kind: Any, net: Any, maximum: float, **parts: Any) -> Any:
    empty = dict.fromkeys(("tokenizer", "text_encoder", "safety_checker", "feature_extractor", "watermarker"))
    made = kind(**empty, unet=net, scheduler=scheduler(maximum), requires_safety_checker=False, **parts)
    made.set_progress_bar_config(disable=True)
    return made


def drawn(shape: tuple[int, ...], seed: int, *, small: bool = False) -> Iterator[Tensor]:
    """The noise that the engine draws, in the order in which diffusers asks for it."""
    yield initial_noise(shape, seed)
    if small:
        yield torch.randn(shape, generator=torch.Generator().manual_seed(seed + NOISE_SEED_OFFSET))
    source = GaussianNoise(torch.zeros(shape), seed)
    while True:
        yield source(0.0, 0.0)


def reference(made: Any, noises: Iterator[Tensor], **inputs: Any) -> Tensor:
    def next_noise(*_: Any, **__: Any) -> Tensor:
        return next(noises)

    module = type(made).__module__
    with (
        patch(f"{module}.randn_tensor", next_noise),
        patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", next_noise),
    ):
        images: Tensor = made(**SIDES, timesteps=getattr(published, f"{STEPS}_timesteps"), **inputs).images
    return images


def keeping_noised(made: Any, kept: Tensor, mask: Tensor, noise: Tensor) -> Any:
    """An inpainting pipeline that shows its net the kept part as noisy as the rest, not clean as diffusers does.

    `kept` `(1, 3, H, W)`, `mask` `(1, 1, H, W)` with 1 = paint anew, `noise` as `kept`.
    """
    plan, step = made.scheduler, made.scheduler.step

    def blended(x: Tensor, t: Tensor) -> Tensor:
        return x * mask + plan.add_noise(kept, noise, t.reshape(1)) * (1 - mask)

    def scaled(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([blended(x[:, :3], t), x[:, 3:]], 1)  # behind the colours: the small picture

    def stepped(answer: Tensor, t: Tensor, x: Tensor, **options: Any) -> Any:
        return step(answer, t, blended(x, t), **options)

    plan.scale_model_input, plan.step = scaled, stepped
    return made
