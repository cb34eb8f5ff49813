"""The denoiser: one convention over every way a net was trained.

A denoiser maps `(x, sigma, conditioning)` to the denoised estimate. What the net sees and answers with is a matter of
its parameterisation (`predictions`). A denoiser is a frozen value: what changes a model makes another one of it, and
many may share one net.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from engine.diffusion.combining import CLASSIFIER_FREE, Combination, Rule, Rules
from engine.diffusion.parameterisation import NoiseLevels, scaled_linear
from engine.diffusion.predictions import EPSILON, VELOCITY, Parameterisation
from engine.memory.budget import UNLIMITED, CallBudget
from engine.memory.handle import ModelHandle
from engine.models.adapters.adapter import Adapter, Stack
from engine.models.adapters.applying import ChangedWeights, FileStack
from engine.models.checkpoint import Checkpoint
from engine.models.latent_rgb import fitted_map
from engine.models.nets.activations import row_bytes
from engine.models.nets.patches import Patch
from engine.models.nets.unet import UNet


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """How latents look to the net: channels, the factor they are multiplied by, and pixels per cell along a side.

    Where `mean` and `deviation` are given, a number a channel, latents are first brought to mean 0 and deviation 1.
    `to_rgb` is the map that previews of a family of its own need, see `LatentPreview`.
    """

    channels: int = 4
    scale_factor: float = 0.18215
    downscale: int = 8
    to_rgb: Tensor | None = field(default=None, compare=False, repr=False)
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def scaled(self, latents: Tensor) -> Tensor:
        """Latents `(B, C, h, w)` of the autoencoder as the net knows them."""
        if self.mean:
            latents = (latents - _a_channel(self.mean, latents)) / _a_channel(self.deviation, latents)
        return latents * self.scale_factor

    def unscaled(self, x: Tensor) -> Tensor:
        """The inverse of `scaled`."""
        latents = x / self.scale_factor
        if self.mean:
            latents = latents * _a_channel(self.deviation, latents) + _a_channel(self.mean, latents)
        return latents


@dataclass(frozen=True, slots=True, eq=False)
class Denoiser:
    """A UNet with what it predicts, and the noise levels and the latents it works on.

    `trained` are the levels of the checkpoint where `levels` were changed. `guidance` says how its estimates are
    combined, and `patches` take part in every call of the net, which others may share unpatched. `adapters` change its
    weights for this denoiser alone, and `hooked` do so besides, for prompts that bring them along; `changed` keeps what
    they make of them, for all denoisers of the net.
    """

    socket: ClassVar[str] = "MODEL"

    net: ModelHandle[UNet]
    levels: NoiseLevels
    latents: LatentFormat
    prediction: Parameterisation = EPSILON
    budget: CallBudget = UNLIMITED  # of one call of the net; an estimate takes as few as it allows
    trained: NoiseLevels | None = None
    guidance: Rules = CLASSIFIER_FREE
    patches: tuple[Patch, ...] = ()
    adapters: Stack = ()
    hooked: FileStack = ()
    changed: ChangedWeights = field(default_factory=ChangedWeights, repr=False)
    differential: float | None = None  # how strongly the grey of a noise mask says when to repaint, None: not at all

    @property
    def nbytes(self) -> int:
        """Bytes of the weights, of the adapters, and of the changed weights that are kept."""
        return self.net.nbytes + sum(adapter.nbytes for adapter, _ in self.adapters) + self.changed.nbytes

    def with_sampling(self, levels: NoiseLevels, prediction: Parameterisation) -> Denoiser:
        """The same net taken to be trained on other noise levels, or to predict something else."""
        return replace(self, levels=levels, prediction=prediction, trained=self.trained or self.levels)

    def with_rule(self, part: Rule | Combination) -> Denoiser:
        """The same denoiser with one more rule of guidance, or another combination."""
        return replace(self, guidance=self.guidance.with_part(part))

    def with_patches(self, *patches: Patch) -> Denoiser:
        """The same denoiser with more patches of the net."""
        return replace(self, patches=(*self.patches, *patches)) if patches else self

    def with_adapter(self, adapter: Adapter, strength: float) -> Denoiser:
        """The same denoiser with weights changed by one more adapter, which must be fitted to its net."""
        return replace(self, adapters=(*self.adapters, (adapter, strength)))

    def denoise(self, x: Tensor, sigma: float, tokens: Tensor) -> Tensor:
        """The denoised estimate of scaled latents `x` `(B, C, h, w)` at `sigma`, for token states `(B, T, D)`."""
        time = self.levels.timestep(sigma)
        timesteps = torch.full((len(x),), float(time))
        with self.net.lease() as net, self.changed.applied(net, self.adapters, self.hooked):
            device, dtype = self.net.device, self.net.dtype
            entering = self.prediction.entering(x, sigma).to(device, dtype)
            inputs = (entering, timesteps.to(device), tokens.to(device, dtype))
            patching = {"patches": self.patches, "sigma": sigma} if self.patches else {}
            predicted: Tensor = self.budget.called(net, inputs, row_bytes, patching).to(x)
        return self.prediction.denoised(x, predicted, sigma, time)


def denoiser_of(checkpoint: Checkpoint) -> Denoiser:
    """The denoiser in a checkpoint of the Stable Diffusion 1.x family."""
    latents = LatentFormat(
        checkpoint.latent_channels,
        checkpoint.scale_factor,
        checkpoint.downscale,
        to_rgb=fitted_map(checkpoint),
    )
    return Denoiser(checkpoint.unet, scaled_linear(), latents, VELOCITY if checkpoint.prediction == "v" else EPSILON)


def _a_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values).to(like).view(-1, 1, 1)
