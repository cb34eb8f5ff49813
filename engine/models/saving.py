"""Writing models: nets, with whatever adapters make of them, as safetensors files under the names of their family.

Weights are computed and written one at a time, into a file that is mapped: a model never lies in memory twice.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.adapters.adapter import Stack
from engine.models.adapters.applying import Steps, changed_weight, steps_of
from engine.models.detect import CLIP, UNET, VAE
from engine.models.text.encoder import TextEncoder
from engine.models.text.open_clip import original_image_name, original_name
from engine.models.text.tower import PROJECTION
from engine.models.vision.tower import VIDEO_TOWER, ImageEncoder

_TEXT = "text_model."
_UNET_NAMES = {"time_cond_proj.weight": "time_embed.cond_proj.weight"}
_ALONE = {"l": CLIP, "h": "cond_stage_model.model.", "g": "conditioner.embedders.0.model."}
_FIRST, _SECOND = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
_QKV = {"q_proj": 0, "k_proj": 1, "v_proj": 2}
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A tensor of the file: its name, and the weights that it is made of, one below the other along the first axis.

    Each weight comes with what is done to it before it is written; a matrix is `transposed` after that.
    """

    name: str
    parts: tuple[tuple[Tensor, Steps], ...]
    transposed: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The type that all parts have."""
        return self.parts[0][0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the file."""
        shape = self.parts[0][0].shape
        if self.transposed:
            return tuple(reversed(shape))
        return tuple(shape) if len(self.parts) == 1 else (sum(len(part) for part, _ in self.parts), *shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


def unet_weights(net: ModelHandle[Any], stack: Stack) -> Iterator[Named]:
    """A UNet as a checkpoint names it."""
    steps = steps_of(stack)
    for name, weight in net.weights().items():
        yield Named(UNET + _UNET_NAMES.get(name, name), ((weight, steps.get(name, ())),))


def marker(name: str, *numbers: float) -> Named:
    """A tensor that says something about a checkpoint: by being there, or by its `numbers`."""
    return Named(name, ((torch.tensor(numbers), ()),))


def encoder_weights(encoder: TextEncoder) -> Iterator[Named]:
    """The towers of a text encoder as the checkpoints of their families have them.

    SD1's and SDXL's first one lie there as in transformers, SD2's, the refiner's and SDXL's second one as in OpenCLIP.
    """
    for number, tower in enumerate(encoder.towers):
        prefix = _ALONE[tower.recipe.name]
        if encoder.second is not None:
            prefix = _SECOND if number else _FIRST
        named = text_weights(tower.net, tower.adapters, prefix)
        yield from named if prefix in (CLIP, _FIRST) else _open_clip(tower.net, tower.adapters, prefix, _text_name)


def text_weights(net: ModelHandle[Any], stack: Stack, prefix: str = "") -> Iterator[Named]:
    """A text tower under `prefix`, with the names of transformers, which files of towers alone have."""
    steps = steps_of(stack)
    for name, weight in net.weights().items():
        plain = name.removeprefix(_TEXT)
        yield Named(prefix + (plain if plain == PROJECTION else _TEXT + plain), ((weight, steps.get(name, ())),))


def image_weights(encoder: ImageEncoder, prefix: str = VIDEO_TOWER) -> Iterator[Named]:
    """An image tower as the checkpoints of Stable Video Diffusion have it."""
    return _open_clip(encoder.net, (), prefix, original_image_name)


def _text_name(name: str) -> str:
    return original_name(name.removeprefix(_TEXT))


def _open_clip(net: ModelHandle[Any], stack: Stack, prefix: str, original: Callable[[str], str]) -> Iterator[Named]:
    """Queries, keys and values lie below each other in one tensor, and the projection is transposed."""
    steps, joined = steps_of(stack), dict[str, list[tuple[str, tuple[Tensor, Steps]]]]()
    for name, weight in net.weights().items():
        part = (name.split(".")[-2], (weight, steps.get(name, ())))
        joined.setdefault(original(name), []).append(part)
    for name, parts in joined.items():
        ordered = tuple(part for _, part in sorted(parts, key=lambda found: _QKV.get(found[0], 0)))
        yield Named(prefix + name, ordered, transposed=name in ("text_projection", "proj"))


def vae_weights(net: ModelHandle[Any], prefix: str = VAE) -> Iterator[Named]:
    """An autoencoder under `prefix`."""
    for name, weight in net.weights().items():
        yield Named(prefix + name, ((weight, ()),))


def header_of(given: Iterable[Named], metadata: Mapping[str, str]) -> bytes:
    """The beginning of a safetensors file with these tensors in this order; texts in `metadata` go along."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    end = 0
    for named in given:
        place = [end, end + named.nbytes]
        header[named.name] = {"dtype": _DTYPES[named.dtype], "shape": list(named.shape), "data_offsets": place}
        end = place[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of eight bytes
    return struct.pack("<Q", len(text)) + text


def serialised(weights: Iterable[Named], metadata: Mapping[str, str]) -> memoryview:
    """The weights as the bytes of a safetensors file, which is mapped and has no name."""
    given = list(weights)
    with tempfile.TemporaryFile() as file, torch.inference_mode():
        file.write(header_of(given, metadata))
        for named in given:
            for weight, steps in named.parts:
                changed = (changed_weight(weight, steps) if steps else weight).to(weight.dtype)
                changed = changed.detach().cpu()
                plain = (changed.T if named.transposed else changed).contiguous()
                file.write(plain.view(-1).view(torch.uint8).numpy().data)
        file.flush()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
