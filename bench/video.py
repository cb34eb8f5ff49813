"""A video net of Stable Video Diffusion's full size: a sampling step, and the share of the time outside the net."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import nn

from bench.sampling import time_forward
from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.extras import NetExtras
from engine.diffusion.parameterisation import LogClock, continuous
from engine.diffusion.predictions import VELOCITY
from engine.diffusion.rules import LinearOverFrames
from engine.diffusion.sampling import Steps, drive, sample
from engine.memory.handle import ModelHandle
from engine.models.families import FAMILIES, VIDEO
from engine.models.nets.unet import UNetConfig
from engine.models.nets.video_unet import VideoUNet
from engine.tensors.values import Conditioning, Extras, Latent, Motion, Prompt

FRAMES, SIDE, STEPS = 14, 8, 2
CONFIG = UNetConfig(
    in_channels=8, context_channels=1024, num_heads=None, head_channels=64, linear_projection=True,
    vector_channels=768, video=True,
)  # fmt: skip


def measure() -> Iterator[str]:
    """Processor time a step (a pair of evaluations for guidance), and what is not the net's."""
    family, inside = FAMILIES[VIDEO], [0.0]
    assert family.sigmas is not None
    net = VideoUNet(CONFIG)
    for weight in net.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.5 / max(1, weight[0].numel()) ** 0.5)
    time_forward(net, inside)
    model = Denoiser(
        ModelHandle(net, torch.device("cpu")),
        continuous(*family.sigmas, LogClock()),
        LatentFormat(),
        VELOCITY,
        extras=NetExtras(family.vector, family.channels, 768),
    ).with_rule(LinearOverFrames())
    told = Extras(picture=torch.randn(1, 4, SIDE, SIDE), motion=Motion(6, 127))
    prompt = Conditioning((Prompt(torch.randn(1, 1, 1024), extras=told),))
    away = Conditioning((Prompt(torch.zeros(1, 1, 1024), extras=told),))
    latent = Latent(torch.zeros(FRAMES, 4, SIDE, SIDE))
    yield f"video: net of SVD's size, {FRAMES} frames of {8 * SIDE} px, guidance on, CPU"
    start = time.process_time()
    drive(sample(model, prompt, away, latent, seed=0, cfg=2.5, steps=Steps(STEPS, "euler", "karras")))
    total = time.process_time() - start
    share = (total - inside[0]) / total
    yield f"{'euler':10}{total / STEPS:8.2f} s of CPU a step, {share:7.3%} outside the net (limit 2 %)"
