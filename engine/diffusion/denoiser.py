"""The denoiser: one convention over every way a net was trained.

A denoiser maps `(x, sigma, conditioning)` to the denoised estimate. What the net sees and answers with is a matter of
its parameterisation (`predictions`). A denoiser is a frozen value: what changes a model makes another one of it, and
many may share one net.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from engine.diffusion.combining import CLASSIFIER_FREE, Combination, GuidedChannels, Rule, Rules
from engine.diffusion.extras import NO_EXTRAS, NetExtras, PictureStatistics, check_frames, check_inputs
from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parameterisation import (
    LogClock,
    NoiseLevels,
    continuous,
    linear,
    scaled_linear,
    zero_terminal,
)
from engine.diffusion.predictions import EPSILON, VELOCITY, Parameterisation, Preconditioned
from engine.memory.budget import UNLIMITED, CallBudget
from engine.memory.handle import ModelHandle
from engine.memory.work import Given, Work
from engine.models.adapters.adapter import Adapter, Stack
from engine.models.adapters.applying import ChangedWeights, FileStack
from engine.models.checkpoint import Checkpoint, Prediction
from engine.models.latent_rgb import fitted_map
from engine.models.nets.denoising import DenoisingNet, pictures_a_row, row_bytes
from engine.models.nets.dit import DiT
from engine.models.nets.patches import Call, Patch
from engine.models.nets.pixart import PixArt
from engine.models.nets.unet import UNet
from engine.models.nets.uvit import UViT
from engine.tensors.rows import Rows
from engine.tensors.values import Latent

__all__ = ["Answer", "Denoiser", "LatentFormat", "denoiser_of"]

EDM_SIGMAS = (0.002, 80.0)  # of Playground v2.5's published scheduler, and of Karras et al. 2022
PREDICTIONS: Mapping[Prediction, Parameterisation] = {"epsilon": EPSILON, "v": VELOCITY, "edm": Preconditioned()}
DIT_GUIDED = 3  # of the four channels of its latents
STEPS = 20  # of a usual sampling
DEFAULT_SCALE = 8.0  # what a net that embeds the guidance scale is told where nobody sets one


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The denoised estimate `(B, C, h, w)`, and what the net learned of the variance, as large, where it did.

    The variance is 1 where its logarithm is to be the largest there may be, -1 where the smallest (see `Evaluate`).
    """

    estimate: Tensor
    variance: Tensor | None = None

    def split(self, size: int) -> list[Answer]:
        """Parts of `size` rows each."""
        estimates = torch.split(self.estimate, size)
        if self.variance is None:
            return [Answer(estimate) for estimate in estimates]
        return [Answer(*parts) for parts in zip(estimates, torch.split(self.variance, size), strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Denoiser:
    """A net with what it predicts, and the noise levels and the latents it works on.

    `trained` are the levels of the checkpoint where `levels` were changed. `guidance` says how its estimates are
    combined, and `patches` take part in every call of the net, which others may share unpatched. `adapters` change its
    weights for this denoiser alone, and `hooked` do so besides, for prompts that bring them along; `changed` keeps what
    they make of them, for all denoisers of the net. `extras` are what the net takes besides, and `embedded_scale` the
    guidance scale, if the net itself is told of it. A net that has `learned_variance` answers with as many channels
    for it behind those of what it predicts.
    """

    socket: ClassVar[str] = "MODEL"

    net: ModelHandle[DenoisingNet]
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
    extras: NetExtras = NO_EXTRAS
    embedded_scale: float | None = None
    learned_variance: bool = False

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters to the net how often a token stands there."""
        with self.net.look() as net:
            return net.counts_tokens

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

    def begun(self, seed: int, latent: Latent) -> Denoiser:
        """The same denoiser for one sampling of `latent` from `seed`."""
        extras = self.extras.begun(seed, latent)
        return self if extras is self.extras else replace(self, extras=extras)

    def denoise(
        self,
        x: Tensor,
        sigma: float,
        tokens: Tensor,
        vector: Tensor | None = None,
        channels: Tensor | None = None,
        rows: Rows | None = None,
    ) -> Tensor:
        """The denoised estimate `(B, C, h, w)`, see `answer`."""
        return self.answer(x, sigma, tokens, vector, channels, rows).estimate

    def answer(
        self,
        x: Tensor,
        sigma: float,
        tokens: Tensor,
        vector: Tensor | None = None,
        channels: Tensor | None = None,
        rows: Rows | None = None,
    ) -> Answer:
        """The denoised estimate of scaled latents `x` `(B, C, h, w)` at `sigma`, for token states `(B, T, D)`.

        `vector` `(B, V)` and more `channels` `(B, C', h, w)` of the latent go into nets that take them, see `extras`.
        `rows` says what each row is about; None: each is a sample, on the whole canvas, and to be painted. For a net
        of videos the samples of the batch are the frames of one. Raises `MissingExtraError` for widths that the net
        does not take.
        """
        time = self.levels.timestep(sigma)
        timesteps = torch.full((len(x),), float(time))
        device, dtype = self.net.device, self.net.dtype
        entering = self.prediction.entering(x, sigma).to(device, dtype)
        if channels is not None:
            entering = torch.cat([entering, channels.to(device, dtype)], dim=1)
        with self.net.look() as resting:
            videos = resting.takes_videos
            check_inputs(resting.config, tokens, entering, "image" if videos else "text")
        inputs = [entering, timesteps.to(device), tokens.to(device, dtype)]
        if vector is not None:
            inputs.append(vector.to(device, dtype) if vector.is_floating_point() else vector.to(device))
        if videos:  # which are rows then: whatever splits a call leaves them whole
            frames = check_frames(len(x) if rows is None else rows.samples)
            inputs = [tensor.reshape(-1, frames, *tensor.shape[1:]) for tensor in inputs]
        options: dict[str, Any] = {}
        if self.patches:
            options = {"patches": self.patches, "sigma": sigma, "rows": rows}
        if self.embedded_scale is not None:
            options["guidance"] = torch.full((len(x),), self.embedded_scale, device=device)

        def called(net: DenoisingNet, given: Given) -> Tensor:
            return given.within(self.budget).called(net, inputs, self._row_bytes, options).to(x)

        answer = self.net.run(lambda: self._work(inputs), called, self.changed.using(self.adapters, self.hooked))
        predicted, *learned = torch.split(answer.flatten(0, 1) if videos else answer, x.shape[1], dim=1)
        return Answer(self.prediction.denoised(x, predicted, sigma, time), learned[0] if learned else None)

    def _row_bytes(self, net: DenoisingNet, inputs: Sequence[Tensor]) -> int:
        """Bytes of one row of `inputs` on its way through the net, and of what patches keep for it."""
        return row_bytes(net, inputs) + self._kept(net, inputs)

    def _kept(self, net: DenoisingNet, inputs: Sequence[Tensor]) -> int:
        """Bytes that patches keep for one row of `inputs`."""
        x = inputs[0]
        return sum(patch.row_numbers(net, x) for patch in self.patches) * pictures_a_row(x) * x.itemsize

    def _work(self, inputs: Sequence[Tensor]) -> Work:
        """One call of the net, for the planner, which asks about one row of it, and never calls patches."""
        scale = {} if self.embedded_scale is None else {"guidance": torch.full((1,), self.embedded_scale)}
        with self.net.look() as net:
            kept = self._kept(net, inputs)
        return Work(
            (*((tuple(tensor.shape[1:]), tensor.dtype) for tensor in inputs), kept, *map(type, self.patches)),
            lambda net, *row: net(*row, **{name: value.to(row[0].device) for name, value in scale.items()}),
            tuple(tensor[:1] for tensor in inputs),
            len(inputs[0]),
            row_bytes=kept,
            repeats=STEPS,
            asks=lambda: self._asked(inputs),
        )

    def _asked(self, inputs: Sequence[Tensor]) -> list[int]:
        """The least bytes of each net that patches ask during a call."""
        x, times, tokens, *vector = inputs
        with self.net.look() as net:
            call = Call.of(net, x, times, tokens, vector[0] if vector else None, 0.0, None)
        return [patch.least(call) for patch in self.patches]


def denoiser_of(checkpoint: Checkpoint) -> Denoiser:
    """The denoiser in a checkpoint of any family."""
    mean, deviation = checkpoint.latent_statistics or ((), ())
    latents = LatentFormat(
        checkpoint.latent_channels,
        checkpoint.scale_factor,
        checkpoint.downscale,
        to_rgb=None if checkpoint.latent_statistics else fitted_map(checkpoint),
        mean=tuple(map(float, mean)),
        deviation=tuple(map(float, deviation)),
    )
    with checkpoint.unet.look() as net:
        return Denoiser(
            checkpoint.unet,
            _levels(checkpoint),
            latents,
            PREDICTIONS[checkpoint.prediction],
            guidance=_guidance(net),
            extras=_extras(checkpoint, net),
            learned_variance=net.config.out_channels == 2 * checkpoint.latent_channels,
            embedded_scale=DEFAULT_SCALE if isinstance(net, UNet) and net.config.guidance_channels else None,
        )


def _levels(checkpoint: Checkpoint) -> NoiseLevels:
    """The noise levels that a checkpoint's net was trained on."""
    family = checkpoint.family
    sigmas = EDM_SIGMAS if checkpoint.prediction == "edm" else family.sigmas
    if sigmas is not None:
        return continuous(*sigmas, LogClock())
    levels = linear(*family.betas) if family.curve == "linear" else scaled_linear(*family.betas)
    return zero_terminal(levels) if checkpoint.zero_terminal else levels


def _guidance(net: DenoisingNet) -> Rules:
    """DiT is guided in the first three channels of a latent (Peebles and Xie 2022, appendix A)."""
    return Rules(GuidedChannels(DIT_GUIDED)) if isinstance(net, DiT) else CLASSIFIER_FREE


def _extras(checkpoint: Checkpoint, net: DenoisingNet) -> NetExtras:
    """What the net takes besides latents and tokens."""
    family = checkpoint.family
    if isinstance(net, UNet):
        statistics = None if checkpoint.statistics is None else PictureStatistics(*checkpoint.statistics)
        return NetExtras(family.vector, family.channels, net.config.vector_channels or 0, statistics)
    if isinstance(net, DiT | UViT):
        return NetExtras(family.vector, width=net.config.classes, names=checkpoint.names)
    if isinstance(net, PixArt):
        return NetExtras(family.vector if net.config.sizes else "none")
    return NetExtras(family.vector, family.channels)
