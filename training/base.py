"""What the adapters of the demo model are trained on: its frozen nets, and examples that are made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from transformers import CLIPTextModel

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.models.checkpoint import Checkpoint, load_checkpoint, no_embeddings
from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.unet import UNet
from engine.models.text.encoder import Embeddings, TextEncoder
from engine.models.vae import Vae
from training.autoencoder import SCALE_FACTOR
from training.fitting import Batch
from training.scenes import Scene, render

BATCH = 32
LEFT_OUT = 0.1  # the share of prompts left out, for classifier-free guidance


@dataclass(frozen=True, slots=True)
class Base:
    """The demo model: for the sampler, and as nets without gradients of their own."""

    checkpoint: Checkpoint
    model: Denoiser
    encoder: TextEncoder
    vae: Vae
    unet: UNet
    autoencoder: Autoencoder
    tower: CLIPTextModel


def load_base(path: Path, embeddings: Embeddings = no_embeddings) -> Base:
    """The demo model on the CPU."""
    checkpoint = load_checkpoint(path, torch.device("cpu"), embeddings)
    encoder, vae = checkpoint.text_encoder, checkpoint.vae
    assert encoder is not None
    assert vae is not None
    with checkpoint.unet.lease() as unet, vae.net.lease() as autoencoder, encoder.net.lease() as tower:
        assert isinstance(unet, UNet)
        assert isinstance(autoencoder, Autoencoder)
        return Base(checkpoint, denoiser_of(checkpoint), encoder, vae, unet, autoencoder, tower)


@torch.no_grad()
def latents_of(base: Base, scenes: Sequence[Scene]) -> Tensor:
    """Latents `(N, 4, h, w)` of the drawn scenes, as the UNet sees them."""
    parts = []
    for start in range(0, len(scenes), BATCH):
        pictures = np.stack([render(scene) for scene in scenes[start : start + BATCH]])
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(base.autoencoder.encode(torch.from_numpy(pictures).movedim(-1, 1) * 2 - 1)[0].float())
    return torch.cat(parts) * SCALE_FACTOR


@torch.no_grad()
def states_of(base: Base, prompts: Sequence[str]) -> Tensor:
    """Token states `(N, 77, D)` of prompts in bfloat16, each encoded as the engine encodes it."""
    rows = [base.encoder.tokenizer.encode(prompt) for prompt in prompts]
    parts = [base.encoder.states(rows[start : start + BATCH])[0] for start in range(0, len(rows), BATCH)]
    return torch.cat(parts).to(torch.bfloat16)


def rows_of(count: int, rng: Generator) -> Batch:
    """Which of `count` examples the next batch is of."""
    return (torch.from_numpy(rng.integers(count, size=BATCH)),)
