"""The parts of checkpoints built from their tensors: UNets, autoencoders, text encoders.

Nets are built without memory and then given the mapped tensors of the file, so nothing is held twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from engine.memory.handle import ModelHandle
from engine.memory.precision import PRECISIONS, quantised, stored
from engine.models.adapters.applying import ChangedWeights
from engine.models.assembly import fill, unfilled
from engine.models.configs import autoencoder_config, unet_config
from engine.models.detect import CLIP, ArchitectureError
from engine.models.diffusers_names import is_unet, is_vae, unet_names, vae_names
from engine.models.nets.attention import attend_in
from engine.models.nets.autoencoder import Autoencoder, Decoder
from engine.models.nets.unet import UNet
from engine.models.nets.video_autoencoder import VideoDecoder
from engine.models.nets.video_unet import VideoUNet
from engine.models.text.bert import WORDS, load_bert
from engine.models.text.encoder import Embeddings, TextEncoder
from engine.models.text.open_clip import text_tower
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.text.tower import CLIP_H, CLIP_L, SDXL_G, SDXL_L, Recipe, Tower, load_tower
from engine.models.vae import FRAMES, Vae
from engine.models.weights import Weights

Net = TypeVar("Net", bound=nn.Module)
TowerSource = tuple[Mapping[str, Tensor], Recipe]

_ATTENTION_NAMES = {
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "proj_out",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out": "proj_out",
    "group_norm": "norm",
}
_UNET_NAMES = {f"{start}.cond_proj.weight": "time_cond_proj.weight" for start in ("time_embed", "time_embedding")}


def unet_of(
    weights: Mapping[str, Tensor],
    device: torch.device,
    where: str,
    dtype: torch.dtype | None = None,
    *,
    storage: torch.dtype | None = None,
    overflows: bool = False,
) -> UNet:
    """The UNet of `weights` in the original's or diffusers' names, without prefix, for `device`.

    It computes in `dtype` and its weights lie in `storage`; of what is None the run says it, see `memory.precision`,
    as it does of attention that `overflows` in half precision. Raises `ArchitectureError`.
    """
    named = original_unet(weights)
    config = unet_config({name: tuple(tensor.shape) for name, tensor in named.items()}, "", where=where)
    with unfilled():
        net = (VideoUNet if config.video else UNet)(config)
    return in_types(net, named, device, where, dtype, storage=storage, overflows=overflows)


def in_types(
    net: Net,
    weights: Mapping[str, Tensor],
    device: torch.device,
    where: str,
    dtype: torch.dtype | None = None,
    *,
    storage: torch.dtype | None = None,
    overflows: bool = False,
) -> Net:
    """A denoising net, built on the meta device, with all of its `weights`, in the types of a UNet; see `unet_of`."""
    precisions = PRECISIONS.get()
    types = precisions.of("unet", device, overflows=overflows)
    int8 = types.int8 and storage is None and dtype is None
    narrow = stored(weights, storage or (types.storage if dtype is None else None))
    fill(net, narrow, dtype or types.compute, where, exact=True, narrow=not int8)
    if dtype is None:
        attend_in(net, types.attention)
    precisions.laid_out(net)
    if int8:
        quantised(net, "--int8-unet")
    return net


def original_unet(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a UNet under the names of the original files."""
    names = unet_names(weights) if is_unet(weights) else _UNET_NAMES
    return {names.get(name, name): tensor for name, tensor in weights.items()}


def vae_of(
    weights: Mapping[str, Tensor],
    device: torch.device,
    where: str,
    dtype: torch.dtype | None = None,
    *,
    overflows: bool = False,
) -> Vae:
    """The autoencoder of `weights` in the original's or diffusers' names, without prefix.

    It computes in `dtype`; if that is None, as the run says, see `memory.precision`, which may have it on another
    device, too. `overflows` says that float16 is known to be too small for it. Raises `ArchitectureError`.
    """
    names = vae_names(weights) if is_vae(weights) else {}
    named = {_todays_name(names.get(name, name)): tensor for name, tensor in weights.items()}
    config = autoencoder_config({name: tuple(tensor.shape) for name, tensor in named.items()}, "", where=where)
    with unfilled():
        net = Autoencoder(config, VideoDecoder if config.video else Decoder)
    precisions = PRECISIONS.get()
    device = precisions.vae_place(device)
    types = precisions.of("vae", device, overflows=overflows)
    fill(net, stored(named, None if dtype else types.storage), dtype or types.compute, where, narrow=True)
    precisions.laid_out(net)
    return Vae(ModelHandle(net, device), config.downscale, config.latent_channels, FRAMES if config.video else 1)


def towers_of(weights: Weights) -> tuple[TowerSource, ...]:
    """The text towers in a checkpoint by where they are, and how they are read; empty if there are none."""
    places = (
        ("conditioner.embedders.0.transformer.", SDXL_L, False),
        ("conditioner.embedders.1.model.", SDXL_G, True),
        ("conditioner.embedders.0.model.", SDXL_G, True),
        ("cond_stage_model.model.", CLIP_H, True),
        (CLIP, CLIP_L, False),
    )
    found: list[TowerSource] = []
    if any(name.startswith(CLIP) and name.endswith(WORDS) for name in weights):
        raise ArchitectureError(
            "this checkpoint's text encoder (BERT) needs a vocabulary, which single files do not hold",
            where=weights.path.name,
            hint="Use the model in its folder form with DiffusersLoader.",
        )
    for prefix, recipe, renamed in places:
        part = weights.part(prefix)
        if part:
            found.append((text_tower(part) if renamed else part, recipe))
    return tuple(found)


def text_encoder_of(
    towers: Sequence[TowerSource],
    device: torch.device,
    embeddings: Embeddings,
    where: str,
    tokenizer: ClipTokenizer | None = None,
) -> TextEncoder | None:
    """The encoder of one tower, or of two that are read side by side; None without towers."""
    types = PRECISIONS.get().of("text encoder", device)
    encoder: TextEncoder | None = None
    for weights, recipe in reversed(towers):
        narrow = stored(weights, types.built)
        if recipe.name == "bert":
            net: Tower = load_bert(narrow, types.compute, where)
        else:
            net = load_tower(narrow, types.compute, where, recipe.activation)
        if types.int8:
            quantised(net, "--int8-text-enc")
        encoder = TextEncoder(
            ModelHandle(net, device),
            tokenizer or ClipTokenizer.load(),
            embeddings,
            last_layer=recipe.last_layer,
            recipe=recipe,
            second=encoder,
            changed=ChangedWeights(tower=("first" if encoder else "second") if len(towers) > 1 else "only"),
        )
    return encoder


def _todays_name(name: str) -> str:
    """Attention names of old autoencoder files (`query`, `to_q`, ...) in today's form."""
    if ".attn_1." not in name:
        return name
    head, _, leaf = name.rpartition(".")
    block, _, part = head.removesuffix(".0").rpartition(".")
    return f"{block}.{_ATTENTION_NAMES.get(part, part)}.{leaf}"
