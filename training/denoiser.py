"""Trains the demo's UNet on latents of scenes and the states of their captions.

Noise prediction on Stable Diffusion's noise levels (scaled-linear betas 0.00085 to 0.012, Rombach et al. 2022),
weighted by min(SNR, 5) / SNR (Hang et al. 2023), one caption in ten left out for classifier-free guidance (Ho and
Salimans 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextModel

from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.unet import UNet, UNetConfig
from training import text_encoder
from training.autoencoder import SCALE_FACTOR
from training.fitting import Batch, Fit, fit
from training.scenes import caption, random_scene, render

CONFIG = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2),
    num_res_blocks=1,
    transformer_depth=(0, 1),
    context_channels=text_encoder.WIDTH,
)
POOL, BATCH = 24_000, 32
LEFT_OUT = 0.1


def noise_levels() -> Tensor:
    """Cumulative products of 1 - beta `(1000,)`: the share of signal left at each timestep."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


class Objective:
    """The weighted error of a guess at the noise in latents, at noise levels drawn anew in each call."""

    def __init__(self) -> None:
        self._signal = noise_levels()
        ratio = self._signal / (1 - self._signal)
        self._weights = ratio.clamp(max=5.0) / ratio

    def __call__(self, predict: Callable[[Tensor, Tensor], Tensor], latents: Tensor) -> Tensor:
        """`predict` is given noisy latents `(B, C, h, w)` and timesteps `(B,)`."""
        steps, noise = torch.randint(1000, (len(latents),)), torch.randn_like(latents)
        share = self._signal[steps].view(-1, 1, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = predict(share.sqrt() * latents + (1 - share).sqrt() * noise, steps.float())
        error: Tensor = (predicted.float() - noise).square().mean((1, 2, 3))
        return (error * self._weights[steps]).mean()


class Pool:
    """The newest `POOL` examples; training draws from it at random."""

    def __init__(self) -> None:
        self._latents: list[Tensor] = []
        self._states: list[Tensor] = []

    def add(self, latents: Tensor, states: Tensor) -> None:
        """Take in a batch, and drop the oldest one once the pool is full."""
        self._latents.append(latents)
        self._states.append(states.to(torch.bfloat16))
        if len(self._latents) * BATCH > POOL:
            del self._latents[0], self._states[0]

    def draw(self) -> tuple[Tensor, Tensor]:
        """A random batch: rows of the batches that came in."""
        batches = torch.randint(len(self._latents), (BATCH,)).tolist()
        rows = torch.randint(BATCH, (BATCH,)).tolist()
        pairs = list(zip(batches, rows, strict=True))
        return (
            torch.stack([self._latents[batch][row] for batch, row in pairs]),
            torch.stack([self._states[batch][row] for batch, row in pairs]),
        )


def train(folder: Path, minutes: float, autoencoder: Autoencoder, encoder: CLIPTextModel) -> UNet:
    """The trained UNet, with averaged weights."""
    net, pool = UNet(CONFIG), Pool()
    last = net.out[2]
    assert isinstance(last, nn.Conv2d)
    nn.init.zeros_(last.weight)
    objective, unprompted = Objective(), text_encoder.encode(encoder, [""])[0].to(torch.bfloat16)

    @torch.no_grad()
    def make(rng: Generator) -> Batch:
        scenes = [random_scene(rng) for _ in range(BATCH)]
        pictures = torch.stack([torch.from_numpy(render(scene)) for scene in scenes]).movedim(-1, 1) * 2 - 1
        with torch.autocast("cpu", torch.bfloat16):
            latents = autoencoder.encode(pictures)[0].float() * SCALE_FACTOR
            states = text_encoder.encode(encoder, [caption(scene, rng) for scene in scenes])
        return latents, states

    def loss(batch: Batch) -> Tensor:
        pool.add(*batch)
        latents, states = pool.draw()
        states[torch.rand(BATCH) < LEFT_OUT] = unprompted
        return objective(lambda x, steps: net(x, steps, states), latents)

    # The attention is small and trained often: plain matrix products are faster here than the fused kernel.
    with sdpa_kernel(SDPBackend.MATH):
        net.load_state_dict(fit(net, make, loss, Fit(minutes, decay=0.9995), folder / "denoiser.pt"))
    return net.eval()
