"""Checkpoints: single files of every family, and UNets and autoencoders in files of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.memory.read_ahead import read_ahead
from engine.models.detect import UNET, VAE, ArchitectureError, Detection, detect, wrong_kind
from engine.models.diffusers_names import is_vae
from engine.models.families import FAMILIES, SD1, Family, Prediction
from engine.models.nets.denoising import DenoisingNet
from engine.models.parts import TowerSource, original_unet, text_encoder_of, towers_of, unet_of, vae_of
from engine.models.text.encoder import Embeddings, TextEncoder
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.vae import Vae
from engine.models.weights import STAND_IN, Weights, open_weights

__all__ = ["Checkpoint", "Prediction", "Source", "load_checkpoint", "load_unet", "load_vae", "loaded", "no_embeddings"]

SD1_SCALE_FACTOR = FAMILIES[SD1].scale_factor
V_DEVIATION = 0.09  # of the biases below: v-prediction nets of SD2 are above, epsilon nets below (community's measure)
V_PREDICTION, ZERO_TERMINAL = "v_pred", "ztsnr"  # markers that derivatives carry
EDM_MEAN, EDM_DEVIATION = "edm_mean", "edm_std"  # a number a channel: the latents of EDM nets (Playground v2.5)
_MARKERS = (V_PREDICTION, ZERO_TERMINAL, EDM_MEAN, EDM_DEVIATION)
EDM_SCALE = 0.5  # what such latents are multiplied by: the deviation of pictures that Karras et al. 2022 train with


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The parts of a checkpoint; the text encoder and the autoencoder may be missing from the file.

    Latents have `latent_channels` channels and cells of `downscale` pixels, and are multiplied by `scale_factor` for
    the UNet, which predicts `prediction`. With `zero_terminal` its noise levels end in nothing but noise. `statistics`
    are mean and deviation of the embeddings of pictures that unCLIP was trained on, where the file has them, and
    `latent_statistics` those of each channel of latents, which an EDM net sees at mean 0 and deviation 1. `names` are
    those of the classes that a class-conditional net knows.
    """

    detection: Detection
    unet: ModelHandle[DenoisingNet]
    prediction: Prediction
    latent_channels: int
    scale_factor: float
    downscale: int
    text_encoder: TextEncoder | None
    vae: Vae | None
    family: Family = FAMILIES[SD1]
    zero_terminal: bool = False
    statistics: tuple[Tensor, Tensor] | None = None
    latent_statistics: tuple[Tensor, Tensor] | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The tensors of a checkpoint by part, wherever they come from, and what is said about it besides.

    `detection` tells the family; `prediction` and `scale_factor` override it. The UNet's weights are to lie in the type
    `stored` (None: as the run says).
    """

    where: str
    detection: Detection
    unet: Mapping[str, Tensor]
    vae: Mapping[str, Tensor]
    towers: tuple[TowerSource, ...] = ()
    markers: frozenset[str] = frozenset()
    prediction: Prediction | None = None
    scale_factor: float | None = None
    statistics: tuple[Tensor, Tensor] | None = None
    latent_statistics: tuple[Tensor, Tensor] | None = None
    stored: torch.dtype | None = None
    tokenizer: ClipTokenizer | None = None
    zero_terminal: bool = False


def no_embeddings(_name: str) -> tuple[Tensor, ...] | None:
    """An embedding look-up that knows none."""
    return None


def load_checkpoint(
    path: Path,
    device: torch.device,
    embeddings: Embeddings = no_embeddings,
    *,
    dtype: torch.dtype | None = None,
    prediction: Prediction | None = None,
    family: str | None = None,
) -> Checkpoint:
    """Load a single-file checkpoint. EMA weights, schedule buffers and position ids in it are ignored.

    The UNet computes in `dtype`; if that is None, it computes as the run says, as the other parts do (see
    `memory.precision`). `family` and `prediction` override what is detected. Raises
    `ArchitectureError` for a file of another kind or family, and what `open_weights` raises for a damaged one.
    """
    weights = open_weights(path)
    detection = detected(weights, family)
    if detection.kind != "checkpoint" or detection.family not in FAMILIES or not FAMILIES[detection.family].supported:
        raise wrong_kind(path, detection, "a checkpoint of a Stable Diffusion family")
    source = Source(
        path.name,
        detection,
        weights.part(UNET),
        weights.part(VAE),
        towers_of(weights),
        markers_in(weights),
        prediction,
        latent_statistics=latent_statistics(weights),
    )
    return loaded(source, device, embeddings, dtype)


def markers_in(weights: Weights) -> frozenset[str]:
    """What a file says of its net by tensors that are there for nothing else."""
    return frozenset(name for name in _MARKERS if name in weights)


def latent_statistics(weights: Weights) -> tuple[Tensor, Tensor] | None:
    """Mean and deviation `(C,)` of latents, where a file says that its net is an EDM net."""
    if EDM_MEAN not in weights or EDM_DEVIATION not in weights:
        return None
    return weights[EDM_MEAN].flatten().float(), weights[EDM_DEVIATION].flatten().float()


def detected(weights: Weights, family: str | None = None) -> Detection:
    """What a file is, or what it is said to be. Raises `ArchitectureError` for a family that there is not."""
    if family is None:
        return detect(weights.shapes)
    if family not in FAMILIES:
        raise ArchitectureError("there is no such family", got=family, expected=", ".join(FAMILIES))
    return Detection("checkpoint", family, ("it was said to be one",))


def loaded(
    source: Source, device: torch.device, embeddings: Embeddings = no_embeddings, dtype: torch.dtype | None = None
) -> Checkpoint:
    """The checkpoint whose tensors are in `source`, see `load_checkpoint`."""
    where, family = source.where, FAMILIES[source.detection.family]
    vae = vae_of(source.vae, device, where, overflows=family.vae_overflows) if source.vae else None
    storage, overflows = source.stored, family.attention_overflows
    unet = unet_of(source.unet, device, where, dtype, storage=storage, overflows=overflows)
    text_encoder = text_encoder_of(source.towers, device, embeddings, where, source.tokenizer)
    if STAND_IN.get() is None:
        read_ahead(_in_order_of_use(text_encoder, unet))
    return Checkpoint(
        source.detection,
        ModelHandle(unet, device),
        source.prediction or _marked(source) or _prediction(family, source.unet),
        unet.config.out_channels,
        source.scale_factor or (EDM_SCALE if source.latent_statistics else family.scale_factor),
        vae.downscale if vae else family.downscale,
        text_encoder,
        vae,
        family,
        source.zero_terminal or ZERO_TERMINAL in source.markers,
        source.statistics,
        source.latent_statistics,
    )


def _in_order_of_use(text_encoder: TextEncoder | None, unet: DenoisingNet) -> Iterator[Tensor]:
    """The weights that a first step needs."""
    for tower in text_encoder.towers if text_encoder else ():
        yield from tower.net.weights().values()
    yield from unet.parameters()


def load_unet(
    path: Path, device: torch.device, *, dtype: torch.dtype | None = None, stored: torch.dtype | None = None
) -> Checkpoint:
    """Load a UNet from a file of its own, in the original's or diffusers' names, or out of a checkpoint.

    Its weights are rounded to `stored` first, if that is given. Raises what `load_checkpoint` raises.
    """
    return unet_in(open_weights(path), device, dtype=dtype, stored=stored)


def unet_in(
    weights: Weights, device: torch.device, *, dtype: torch.dtype | None = None, stored: torch.dtype | None = None
) -> Checkpoint:
    """The UNet in `weights`, see `load_unet`."""
    path = weights.path
    prefix = UNET if any(name.startswith(UNET) for name in weights) else ""
    part = original_unet(weights.part(prefix))
    shapes = {f"{UNET}{name}": tuple(tensor.shape) for name, tensor in part.items()}
    whole = prefix or "input_blocks.0.0.weight" not in part
    detection = detect(weights.shapes if whole else shapes)
    if detection.kind != "checkpoint" or detection.family not in FAMILIES or not FAMILIES[detection.family].supported:
        raise wrong_kind(path, detection, "a UNet of a Stable Diffusion family")
    part = {name: tensor for name, tensor in part.items() if name not in _MARKERS}
    statistics = latent_statistics(weights)
    source = Source(
        path.name, detection, part, {}, markers=markers_in(weights), latent_statistics=statistics, stored=stored
    )
    return loaded(source, device, dtype=dtype)


def load_vae(path: Path, device: torch.device, dtype: torch.dtype | None = None) -> Vae:
    """Load an autoencoder from a file of its own (with or without the checkpoint prefix) or out of a checkpoint.

    It computes in `dtype`, see `vae_of`. Raises `ArchitectureError` for a file of another kind, and what `open_weights`
    raises.
    """
    weights = open_weights(path)
    prefix = VAE if any(name.startswith(VAE) for name in weights) else ""
    if f"{prefix}decoder.mid.block_1.conv1.weight" not in weights and not is_vae(weights):
        raise wrong_kind(path, detect(weights.shapes), "an autoencoder (VAE) in the original layout or diffusers'")
    return vae_of(weights.part(prefix), device, path.name, dtype)


def _marked(source: Source) -> Prediction | None:
    if source.latent_statistics is not None:
        return "edm"
    return "v" if V_PREDICTION in source.markers else None


def _prediction(family: Family, unet: Mapping[str, Tensor]) -> Prediction:
    """What the net predicts: by its family, or where that has nets of both kinds, by a bias that tells them apart."""
    if family.prediction is not None:
        return family.prediction
    ends = ".1.transformer_blocks.0.norm1.bias"
    blocks = [name for name in original_unet(unet) if name.startswith("output_blocks.") and name.endswith(ends)]
    if not blocks:
        return "epsilon"
    last = max(blocks, key=lambda name: int(name.split(".")[1]))
    bias = original_unet(unet)[last]
    return "v" if bias.float().std(correction=0) > V_DEVIATION else "epsilon"
