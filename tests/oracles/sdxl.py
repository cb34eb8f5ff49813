"""Tiny systems of SDXL and its refiner: reference nets of diffusers and transformers, and their files."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.models.text.tokenizer import ClipTokenizer
from tests.oracles import families, sd1


class Base:
    """Tiny nets of SDXL, and their file."""

    def __init__(self, channels: int = 4, vae: Any = None, **options: Any) -> None:
        self.first = families.tower(64, 3, activation="quick_gelu", seed=1)
        self.second = families.tower(128, 4, projection=128, seed=2)
        self.unet = families.linear_unet(
            (64, 64, 128), (0, 1, 2), 192, channels=channels, vector=128 + 6 * 256, kind="sizes", **options
        )
        self.vae = vae or sd1.autoencoder((32, 64), 1)
        self.vae.register_to_config(scaling_factor=0.13025, force_upcast=False)
        self.state = {
            **families.prefixed("model.diffusion_model.", families.unet_state(self.unet)),
            **families.prefixed("first_stage_model.", sd1.autoencoder_state(self.vae)),
            **families.prefixed("conditioner.embedders.0.transformer.", sd1.text_encoder_state(self.first)),
            **families.prefixed("conditioner.embedders.1.model.", families.open_clip_state(self.second)),
        }

    def tokens(self, prompt: str) -> tuple[Tensor, Tensor]:
        own = ClipTokenizer.load().encode(prompt)
        first = self.first(families.ids(own, families.END), output_hidden_states=True)
        second = self.second(families.ids(own, 0), output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        return states, second.text_embeds


class Refiner:
    """Tiny nets of the refiner, and their file."""

    def __init__(self) -> None:
        self.second = families.tower(128, 4, projection=128, seed=2)
        self.unet = families.linear_unet((64, 64, 128, 128), (0, 1, 1, 0), 128, vector=128 + 5 * 256, kind="sizes")
        self.vae = sd1.autoencoder((32, 64), 1)
        self.vae.register_to_config(scaling_factor=0.13025, force_upcast=False)
        self.state = {
            **families.prefixed("model.diffusion_model.", families.unet_state(self.unet)),
            **families.prefixed("first_stage_model.", sd1.autoencoder_state(self.vae)),
            **families.prefixed("conditioner.embedders.0.model.", families.open_clip_state(self.second)),
        }

    def tokens(self, prompt: str) -> tuple[Tensor, Tensor]:
        out = self.second(families.ids(ClipTokenizer.load().encode(prompt), 0), output_hidden_states=True)
        return out.hidden_states[-2], out.text_embeds
