"""Tiny systems of each family: reference nets of diffusers and transformers, and their file in the original layout."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.models.checkpoint import Checkpoint, load_checkpoint
from engine.models.text.tokenizer import ClipTokenizer
from engine.tensors.values import Conditioning, Latent
from tests.oracles import families, sd1

CPU = torch.device("cpu")
PROMPT, NEGATIVE = "a red circle above a blue star", "blurry"
SEED, CFG, STEPS = 5, 6.0, 10


class System:
    """A UNet with its autoencoder and one text tower: `old` as in SD1, otherwise as in SD2."""

    def __init__(self, *, old: bool = False, channels: int = 4, unet: Any = None, vae: Any = None, **more: Any) -> None:
        self.old = old
        if old:
            self.text = families.tower(128, 3, activation="quick_gelu")
            self.unet = unet or sd1_unet(channels)
            text = families.prefixed("cond_stage_model.transformer.", sd1.text_encoder_state(self.text))
        else:
            self.text = families.tower(128, 3)
            self.unet = unet or families.linear_unet((64, 64, 128), (1, 1, 0), 128, channels=channels, **more)
            text = families.prefixed("cond_stage_model.model.", families.open_clip_state(self.text))
        self.vae = vae or sd1.autoencoder((32, 64), 1)
        self.state = {
            **families.prefixed("model.diffusion_model.", families.unet_state(self.unet)),
            **families.prefixed("first_stage_model.", sd1.autoencoder_state(self.vae)),
            **text,
        }

    def tokens(self, prompt: str) -> Tensor:
        own = ClipTokenizer.load().encode(prompt)
        out = self.text(families.ids(own, families.END if self.old else 0), output_hidden_states=True)
        if self.old:
            return out.last_hidden_state
        norm = getattr(self.text, "text_model", self.text).final_layer_norm
        return norm(out.hidden_states[-2])

    def loaded(self, folder: Path, **options: Any) -> Checkpoint:
        path = folder / "model.safetensors"
        save_file({name: weight.contiguous() for name, weight in self.state.items()}, path)
        return load_checkpoint(path, CPU, **options)


class Upscaler(System):
    """The x4 upscaler: a table of noise levels, cross-attention only on its coarser levels but the last."""

    def __init__(self) -> None:
        unet = families.linear_unet(
            (32, 64, 64, 128), (0, 1, 1, 1), 96, channels=7, num_class_embeds=1000,
            only_cross_attention=(True, True, True, False), attention_head_dim=8,
        )  # fmt: skip
        super().__init__(unet=unet)
        self.text = families.tower(96, 3)
        self.vae = sd1.autoencoder((32, 32, 64), 1)
        self.vae.register_to_config(scaling_factor=0.08333)
        text = families.prefixed("cond_stage_model.model.", families.open_clip_state(self.text))
        vae = families.prefixed("first_stage_model.", sd1.autoencoder_state(self.vae))
        unet_state = families.prefixed("model.diffusion_model.", families.unet_state(self.unet))
        self.state = {**unet_state, **vae, **text}


def sd1_unet(channels: int = 4, **options: Any) -> Any:
    """A tiny SD1 UNet that takes `channels`."""
    return _sd1_unet((32, 64, 64), 1, 128, channels, **options)


def full_sd1_unet(channels: int = 4, **options: Any) -> Any:
    """An SD1 UNet of the published size that takes `channels`."""
    return _sd1_unet((320, 640, 1280, 1280), 2, 768, channels, **options)


def _sd1_unet(widths: tuple[int, ...], blocks: int, context: int, channels: int, **options: Any) -> Any:
    last = len(widths) - 1
    with torch.device("meta"):
        net = UNet2DConditionModel(
            sample_size=64,
            in_channels=channels,
            block_out_channels=widths,
            layers_per_block=blocks,
            cross_attention_dim=context,
            attention_head_dim=8,
            down_block_types=["CrossAttnDownBlock2D"] * last + ["DownBlock2D"],
            up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * last,
            **options,
        )
    return sd1.randomised(net)


def scheduler(prediction: str = "epsilon", betas: tuple[float, float] = (0.00085, 0.012)) -> Any:
    """diffusers' Euler on the timesteps of our `simple` schedule."""
    return EulerDiscreteScheduler(
        beta_start=betas[0], beta_end=betas[1], beta_schedule="scaled_linear", timestep_spacing="trailing",
        prediction_type=prediction,
    )  # fmt: skip


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED))


def spread_noise(timing: Any, *shape: int) -> Tensor:
    """Noise that starts at a spread of sqrt(1 + sigma^2) once a scheduler has multiplied it by its first sigma."""
    timing.set_timesteps(STEPS)
    sigma = float(timing.sigmas[0])
    return noise(*shape) * (math.sqrt(1 + sigma**2) / sigma)


def sides(checkpoint: Checkpoint) -> tuple[Conditioning, Conditioning]:
    assert checkpoint.text_encoder is not None
    return checkpoint.text_encoder.encode(PROMPT), checkpoint.text_encoder.encode(NEGATIVE)


def picture(checkpoint: Checkpoint, prompts: tuple[Conditioning, Conditioning], latent: Latent) -> Tensor:
    """What our own sampler paints, `(B, H, W, 3)`."""
    assert checkpoint.vae is not None
    steps = Steps(STEPS, "euler", "simple")
    made = drive(sample(denoiser_of(checkpoint), *prompts, latent, seed=SEED, cfg=CFG, steps=steps))
    return checkpoint.vae.decode(made.samples)
