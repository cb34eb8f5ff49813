"""Small nets behind denoisers: one that answers by a formula, and random UNets with their twins in diffusers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.parameterisation import scaled_linear
from engine.memory.handle import ModelHandle
from engine.models.configs import unet_config
from engine.models.nets.denoising import DenoisingNet
from engine.models.nets.unet import UNet, UNetConfig
from engine.tensors.values import Conditioning, Prompt
from tests.oracles import families, sd1

CPU = torch.device("cpu")
CONTEXT = 32


class Formula(DenoisingNet):
    """A net that answers by a formula of what it sees and of its timestep."""

    def __init__(self, answer: Callable[[Tensor, float], Tensor]) -> None:
        super().__init__()
        self.config = UNetConfig(context_channels=CONTEXT)
        self.answer = answer
        self.times: list[float] = []
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        self.times.append(float(timesteps[0]))
        return self.answer(x, float(timesteps[0]))


def formula(answer: Callable[[Tensor, float], Tensor]) -> Denoiser:
    """A denoiser on the usual levels with latents as they are."""
    return Denoiser(ModelHandle(Formula(answer), CPU), scaled_linear(), LatentFormat(scale_factor=1.0))


def twins(widths: tuple[int, ...] = (32, 64, 128), dtype: torch.dtype = torch.float32) -> tuple[Denoiser, Any]:
    """A random UNet as a denoiser and as diffusers has it."""
    oracle = sd1.unet(widths, 1, CONTEXT)
    depth = (*(1 for _ in widths[1:]), 0)
    config = UNetConfig(
        model_channels=widths[0],
        channel_mult=tuple(width // widths[0] for width in widths),
        num_res_blocks=1,
        transformer_depth=depth,
        context_channels=CONTEXT,
    )
    net = UNet(config)
    net.load_state_dict(sd1.unet_state(oracle))
    return Denoiser(ModelHandle(net.to(dtype), CPU), scaled_linear(), LatentFormat()), oracle.to(dtype)


def twin(oracle: Any) -> Denoiser:
    """A UNet of diffusers, of any family, as a denoiser."""
    return denoiser_from(families.unet_state(oracle))


def denoiser_from(state: dict[str, Tensor]) -> Denoiser:
    """A UNet of weights in original names as a denoiser."""
    net = UNet(unet_config({name: tuple(weight.shape) for name, weight in state.items()}, ""))
    net.load_state_dict(state)
    return Denoiser(ModelHandle(net, CPU), scaled_linear(), LatentFormat())


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def prompt(seed: int, length: int = 5, dtype: torch.dtype = torch.float32) -> Conditioning:
    """A prompt of random tokens."""
    return Conditioning((Prompt(noise(1, length, CONTEXT, seed=seed, dtype=dtype)),))
