"""One sampling step of a net of Stable Diffusion 1.5's full size, and the share of the time spent outside the net."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import nn

from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.sampling import Steps, drive, sample
from engine.memory.handle import ModelHandle
from engine.models.nets.unet import UNet, UNetConfig
from engine.tensors.values import Conditioning, Latent, Prompt

SIDE = 32  # latent cells: a picture of 256 pixels
STEPS = 3


def measure() -> Iterator[str]:
    """Processor time a step (a pair of evaluations for guidance), and what is not the net's."""
    net = _random_net()
    inside = [0.0]
    _time_forward(net, inside)
    model = Denoiser(ModelHandle(net, torch.device("cpu")), scaled_linear(), LatentFormat())
    prompt = Conditioning((Prompt(torch.randn(1, 77, 768)),))
    latent = Latent(torch.zeros(1, 4, SIDE, SIDE))
    yield f"sampling: SD1.5-shaped net, {8 * SIDE} px, guidance on, CPU, {torch.get_num_threads()} threads"
    for sampler in ("euler", "dpmpp_2m"):
        inside[0] = 0.0
        start = time.process_time()
        drive(sample(model, prompt, prompt, latent, seed=0, cfg=7.0, steps=Steps(STEPS, sampler, "karras")))
        total = time.process_time() - start
        share = (total - inside[0]) / total
        yield f"{sampler:10}{total / STEPS:8.2f} s of CPU a step, {share:7.3%} outside the net (limit 2 %)"


def _random_net() -> UNet:
    """A net whose outputs stay finite: normal weights of a spread that keeps the signal's size."""
    with torch.device("meta"):
        net = UNet(UNetConfig())
    net = net.to_empty(device="cpu")
    with torch.no_grad():
        for weight in net.parameters():
            torch.nn.init.normal_(weight, std=0.5 / max(1, weight[0].numel()) ** 0.5)
    return net


def _time_forward(net: UNet, inside: list[float]) -> None:
    """Add the processor time of each call of `net` to `inside[0]`."""

    def begin(_net: nn.Module, _inputs: object) -> None:
        inside[0] -= time.process_time()

    def finish(_net: nn.Module, _inputs: object, _output: object) -> None:
        inside[0] += time.process_time()

    net.register_forward_pre_hook(begin)
    net.register_forward_hook(finish)
