"""Writing models: nets, with whatever adapters make of them, as safetensors files under the names of their family.

Weights are computed and written one at a time, into a file that is mapped: a model never lies in memory twice.
"""

from __future__ import annotations

import json
import mmap
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.adapters.adapter import Stack
from engine.models.adapters.applying import Steps, changed_weight, steps_of
from engine.models.detect import CLIP, UNET, VAE

Named: TypeAlias = tuple[str, Tensor, Steps]
"""A name in the file, a weight, and what is done to it before it is written."""

_TEXT = "text_model."
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def unet_weights(net: ModelHandle[Any], stack: Stack, *, velocity: bool) -> Iterator[Named]:
    """A UNet as a checkpoint names it; `velocity` adds the marker of nets that predict v."""
    steps = steps_of(stack)
    for name, weight in net.weights().items():
        yield UNET + name, weight, steps.get(name, ())
    if velocity:
        yield "v_pred", torch.zeros(0), ()


def text_weights(net: ModelHandle[Any], stack: Stack, prefix: str = CLIP) -> Iterator[Named]:
    """A text tower under `prefix`, with the names of the original files."""
    steps = steps_of(stack)
    for name, weight in net.weights().items():
        yield prefix + _TEXT + name.removeprefix(_TEXT), weight, steps.get(name, ())


def vae_weights(net: ModelHandle[Any], prefix: str = VAE) -> Iterator[Named]:
    """An autoencoder under `prefix`."""
    for name, weight in net.weights().items():
        yield prefix + name, weight, ()


def serialised(weights: Iterable[Named], metadata: Mapping[str, str]) -> memoryview:
    """The weights as the bytes of a safetensors file, which is mapped and has no name. Texts in `metadata` go along."""
    given = list(weights)
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    end = 0
    for name, weight, _ in given:
        place = [end, end + weight.numel() * weight.element_size()]
        header[name] = {"dtype": _DTYPES[weight.dtype], "shape": list(weight.shape), "data_offsets": place}
        end = place[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of eight bytes
    with tempfile.TemporaryFile() as file, torch.inference_mode():
        file.write(struct.pack("<Q", len(text)) + text)
        for _, weight, steps in given:
            changed = changed_weight(weight, steps) if steps else weight
            file.write(changed.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        file.flush()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
