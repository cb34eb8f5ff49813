"""One sampling step of DiT-XL/2 and of PixArt-sigma at full size, and the share of the time spent outside the net."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch

from bench.sampling import time_forward
from engine.diffusion.denoiser import denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.models.detect import Detection
from engine.models.nets.dit import DiT, DiTConfig
from engine.models.nets.pixart import PixArt, PixArtConfig
from engine.models.transformer_families import DIT, SIGMA
from engine.models.transformers import TransformerNet, transformer_checkpoint
from engine.tensors.values import Conditioning, Extras, Latent, Prompt

Net = TypeVar("Net", DiT, PixArt)

SIDE = 32  # latent cells: a picture of 256 pixels
STEPS = 3
WORDS = 20  # of a prompt
SAMPLERS = ("ddpm", "dpmpp_2m")  # with the learned variance, and without


def measure() -> Iterator[str]:
    """Processor time a step (a pair of evaluations for guidance), and what is not the net's."""
    yield f"transformers: {8 * SIDE} px, guidance on, CPU, {torch.get_num_threads()} threads"
    label = Conditioning((Prompt(torch.zeros(1, 1, 0), extras=Extras(label=207)),))
    words = Conditioning((Prompt(torch.randn(1, WORDS, PixArtConfig().context_channels)),))
    yield from _of_net(DIT, _random(lambda: DiT(DiTConfig())), label)
    yield from _of_net(SIGMA, _random(lambda: PixArt(PixArtConfig())), words)


def _of_net(family: str, net: TransformerNet, positive: Conditioning) -> Iterator[str]:
    inside = [0.0]
    time_forward(net, inside)
    model = denoiser_of(transformer_checkpoint(net, Detection("transformer", family, ()), torch.device("cpu")))
    negative = Conditioning(tuple(replace(prompt) for prompt in positive.prompts))
    latent = Latent(torch.zeros(1, 4, SIDE, SIDE))
    for sampler in SAMPLERS:
        inside[0] = 0.0
        start = time.process_time()
        drive(sample(model, positive, negative, latent, seed=0, cfg=4.0, steps=Steps(STEPS, sampler, "normal")))
        total = time.process_time() - start
        share = (total - inside[0]) / total
        yield f"{family:14}{sampler:10}{total / STEPS:8.2f} s of CPU a step, {share:7.3%} outside the net (limit 2 %)"


def _random(build: Callable[[], Net]) -> Net:
    """A net whose outputs stay finite: normal weights of a spread that keeps the signal's size."""
    with torch.device("meta"):
        net = build()
    net = net.to_empty(device="cpu")
    with torch.no_grad():
        for weight in net.parameters():
            torch.nn.init.normal_(weight, std=0.5 / max(1, weight[0].numel()) ** 0.5)
    return net
