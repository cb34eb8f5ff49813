"""Loading tiny autoencoders (TAESD) in every layout that is about; all sizes come from the tensors' shapes.

The original has a file for each half (`taesd_decoder.safetensors`, `.pth`, ...) whose names begin with the number of a
layer. Both halves in one file stand under `encoder.` and `decoder.`, or `taesd_encoder.` and `taesd_decoder.`.
diffusers (`AutoencoderTiny`) writes `encoder.layers.` and `decoder.layers.` and counts the decoder's layers from the
first convolution, one less than the original.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from engine.memory.handle import ModelHandle
from engine.memory.precision import PRECISIONS
from engine.models.assembly import fill, unfilled
from engine.models.detect import ArchitectureError, Shapes, detect, wrong_kind
from engine.models.nets.tiny_autoencoder import TinyAutoencoder, TinyConfig, TinyDecoder, TinyEncoder
from engine.models.vae import Vae
from engine.models.weights import Weights, open_weights

Net = TypeVar("Net", bound=nn.Module)

# (prefix, what to add to the number of a layer), the longest prefix first
_DECODERS = (("decoder.layers.", 1), ("taesd_decoder.", 0), ("decoder.", 0), ("", 0))
_ENCODERS = (("encoder.layers.", 0), ("taesd_encoder.", 0), ("encoder.", 0), ("", 0))
_FIRST_OF_DECODER, _FIRST_OF_ENCODER = 1, 0  # the layers that take the latent and the picture
_BLOCK = "conv.0.weight"


def load_tiny_decoder(path: Path, device: torch.device) -> ModelHandle[TinyDecoder]:
    """The decoder in a file of either layout, in the type of autoencoders.

    Raises `ArchitectureError` for a file that holds none, and what `open_weights` raises for a damaged one.
    """
    weights = open_weights(path)
    own = _decoder_part(weights)
    if own is None:
        raise wrong_kind(path, detect(weights.shapes), "the decoder of a tiny autoencoder (TAESD)")
    config = _config(_shapes(own), _FIRST_OF_DECODER, latent_side=1)
    with unfilled():
        net = TinyDecoder(config)
    return _loaded(net, own, device, path)


def load_tiny_encoder(path: Path, device: torch.device) -> ModelHandle[TinyEncoder]:
    """The encoder in a file of either layout; otherwise as `load_tiny_decoder`."""
    weights = open_weights(path)
    own = _encoder_part(weights)
    if own is None:
        raise wrong_kind(path, detect(weights.shapes), "the encoder of a tiny autoencoder (TAESD)")
    config = _config(_shapes(own), _FIRST_OF_ENCODER, latent_side=0)
    with unfilled():
        net = TinyEncoder(config)
    return _loaded(net, own, device, path)


def load_tiny_vae(encoder: Path | None, decoder: Path | None, scale_factor: float, device: torch.device) -> Vae:
    """An autoencoder of the halves in one file or two, for latents that a family multiplies by `scale_factor`.

    A half that is not there is only missed when it is used. Raises what `load_tiny_decoder` raises.
    """
    device = PRECISIONS.get().vae_place(device)
    reading = load_tiny_encoder(encoder, device) if encoder else None
    writing = load_tiny_decoder(decoder, device) if decoder else None
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(reading.lease()) if reading else None
        second = stack.enter_context(writing.lease()) if writing else None
    some = first or second
    if some is None:
        raise ArchitectureError("this tiny autoencoder has no file", expected="an encoder, a decoder or both")
    net = TinyAutoencoder(first, second, scale_factor)
    return Vae(ModelHandle(net, device), some.config.downscale, some.config.latent_channels)


def _decoder_part(weights: Weights) -> dict[str, Tensor] | None:
    for prefix, shift in _DECODERS:
        # the first layer has no weights in a decoder, which tells its file from an encoder's
        names = (f"{prefix}{1 - shift}.weight", f"{prefix}{3 - shift}.{_BLOCK}")
        if all(name in weights for name in names) and (shift or f"{prefix}0.weight" not in weights):
            return _numbered(weights.part(prefix), shift)
    return None


def _encoder_part(weights: Weights) -> dict[str, Tensor] | None:
    for prefix, shift in _ENCODERS:
        if f"{prefix}0.weight" in weights and f"{prefix}1.{_BLOCK}" in weights:
            return _numbered(weights.part(prefix), shift)
    return None


def _numbered(part: Mapping[str, Tensor], shift: int) -> dict[str, Tensor]:
    """The tensors whose names begin with a number, moved on by `shift`; the other half of a file has no such names."""
    split = ((name.partition("."), tensor) for name, tensor in part.items())
    return {f"{int(number) + shift}.{rest}": tensor for (number, _, rest), tensor in split if number.isdecimal()}


def _config(shapes: Shapes, first: int, latent_side: int) -> TinyConfig:
    """The shape of a half whose first convolution is layer `first` (decoder: takes the latent; encoder: the picture).

    Every level but the first begins with a convolution without bias. What does not add up is found when the net that
    was built like this is filled.
    """
    widths, blocks = [_side(shapes, f"{first}.weight", 0)], [0]
    numbers = sorted({int(name.partition(".")[0]) for name in shapes} - {first})
    for number in numbers:
        if f"{number}.{_BLOCK}" in shapes:
            blocks[-1] += 1
        elif f"{number}.bias" not in shapes:
            widths.append(_side(shapes, f"{number}.weight", 0))
            blocks.append(0)
    latent = first if latent_side else numbers[-1]
    return TinyConfig(_side(shapes, f"{latent}.weight", latent_side), tuple(widths), tuple(blocks))


def _side(shapes: Shapes, name: str, side: int) -> int:
    """Output (0) or input (1) channels of a convolution; 1 where there is none, so that filling tells what misfits."""
    shape = shapes.get(name, ())
    return max(1, shape[side]) if len(shape) == 4 else 1


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _loaded(net: Net, own: Mapping[str, Tensor], device: torch.device, path: Path) -> ModelHandle[Net]:
    dtype = PRECISIONS.get().of("vae", device).compute
    return ModelHandle(fill(net, own, dtype, path.name, exact=True), device)
