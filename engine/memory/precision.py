"""In which types nets are stored and computed with: by what they are, what their device can, and what people ask for.

Weights never lie in a wider type than the file has: where a net computes in a wider one, its layers widen them while
they work (see `casting`). So a part that is asked to compute in float32 keeps the bytes of its file.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from engine.foundation.errors import EaselError
from engine.foundation.settings import Settings, WeightType

Part: TypeAlias = Literal["unet", "vae", "text encoder", "t5"]
"""What a net is for; nets that steer a UNet are of its kind, and T5 is a text encoder that half precision breaks."""

HOST = torch.device("cpu", 0)
"""The processor as a place beside the device of a run: not the same as `cpu`, which a simulated device computes on."""

FLOAT8 = {"fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}
FLOATS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class PrecisionError(EaselError):
    """A type that there is not on this machine."""

    code: ClassVar[str] = "bad_precision"


@dataclass(frozen=True, slots=True)
class Abilities:
    """Types that a device computes in faster than in float32, and whether it holds eight-bit ones."""

    half: bool = False
    bfloat16: bool = False
    float8: bool = True


@dataclass(frozen=True, slots=True)
class Precision:
    """The types of one net: its weights lie in `storage` (None: the file's, if that is no wider) or as `int8`.

    Attention is computed in `attention`, where that is not the type of all the rest.
    """

    compute: torch.dtype
    storage: torch.dtype | None = None
    attention: torch.dtype | None = None
    int8: bool = False

    @property
    def built(self) -> torch.dtype | None:
        """What the weights are in when a net is built: integers are made of those that it would compute with."""
        return self.compute if self.int8 else self.storage


def precision(part: Part, can: Abilities, asked: WeightType | None = None, *, overflows: bool = False) -> Precision:
    """The types of a part on a device; with those that were asked for instead of the usual ones.

    `overflows` says that half precision is too small for what the part computes: in a UNet for the products of its
    attention (Stable Diffusion 2), in an autoencoder for its activations (SDXL). Raises `PrecisionError`.
    """
    if asked in FLOAT8 and not can.float8:
        raise PrecisionError("this device holds no eight-bit floats", got=asked, expected="fp16, bf16 or fp32")
    compute = _compute(part, can, overflows=overflows)
    if asked == "fp32" or (asked in FLOATS and part in ("unet", "vae")):
        compute = FLOATS[asked]
    storage = None if asked in (None, "fp32", "int8") else (FLOAT8 | FLOATS)[asked]
    upcast = part == "unet" and overflows and compute == torch.float16
    return Precision(compute, storage, torch.float32 if upcast else None, asked == "int8")


def _compute(part: Part, can: Abilities, *, overflows: bool) -> torch.dtype:
    """What a part computes in, if nobody says."""
    if part == "text encoder":  # a moment a prompt, of which every step is made
        return torch.float32
    if part == "t5" or (part == "vae" and overflows):  # whose activations leave the range of float16
        return torch.bfloat16 if can.bfloat16 else torch.float32
    return torch.float16 if can.half else torch.float32


def abilities(device: torch.device) -> Abilities:
    """What a device of this machine can do."""
    match device.type:
        case "cpu":
            return Abilities()
        case "cuda":
            with torch.cuda.device(device):  # there may be several, and not all alike
                return Abilities(True, torch.cuda.is_bf16_supported(including_emulation=False))
        case "mps":
            return Abilities(True, torch.backends.mps.is_macos_or_newer(14, 0), float8=False)
        case _:
            return Abilities(True, True)


@dataclass(frozen=True, slots=True)
class Precisions:
    """What people asked for in a run, by part. `cpu_vae` has autoencoders on the processor.

    `can` is for a device that is only thought of; None: as the device itself can.
    """

    unet: WeightType | None = None
    vae: WeightType | None = None
    text: WeightType | None = None
    cpu_vae: bool = False
    channels_last: bool = False
    can: Abilities | None = None

    def of(self, part: Part, device: torch.device, *, overflows: bool = False) -> Precision:
        """The types of a part on a device; see `precision`."""
        asked = {"unet": self.unet, "vae": self.vae}.get(part, self.text)
        can = abilities(device) if self.can is None or device == HOST else self.can
        return precision(part, can, asked, overflows=overflows)

    def vae_place(self, device: torch.device) -> torch.device:
        """Where autoencoders compute in a run on `device`."""
        return HOST if self.cpu_vae else device

    def laid_out(self, net: nn.Module) -> None:
        """Give the weights of the convolutions of `net` the order in memory that was asked for."""
        if self.channels_last:
            for weight in net.parameters():
                if weight.ndim == 4:  # there is no such layout for layers over time, which have five sides
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last)


USUAL = Precisions()
PRECISIONS: ContextVar[Precisions] = ContextVar("precisions", default=USUAL)
"""What holds in the run that goes on."""


def asked_for(settings: Settings) -> Precisions:
    """What the command line asks for."""
    return Precisions(
        settings.unet_type, settings.vae_type, settings.text_type, settings.cpu_vae, settings.channels_last
    )


def compute_dtype(device: torch.device) -> torch.dtype:
    """What UNets, and nets that steer them, compute in on `device` in the run that goes on."""
    return PRECISIONS.get().of("unet", device).compute


def stored(weights: Mapping[str, Tensor], storage: torch.dtype | None) -> Mapping[str, Tensor]:
    """Weights in a type that they are to lie in; into eight bits goes what has more than one side, as is the custom."""
    if storage is None:
        return weights
    sides = 2 if storage.itemsize == 1 else 0
    return {
        name: tensor.to(storage) if tensor.is_floating_point() and tensor.ndim >= sides else tensor
        for name, tensor in weights.items()
    }


def quantised(net: nn.Module, flag: str) -> None:
    """Have the weights of all linear layers as 8-bit integers with a scale a row, by torchao.

    Raises `PrecisionError` where that is not installed; `flag` is what asked for it.
    """
    try:
        torchao: Any = importlib.import_module("torchao.quantization")
    except ImportError as error:
        raise PrecisionError(
            "weights of 8-bit integers need torchao, which is not installed",
            where=flag,
            got=str(error),
            hint=f"Install it (pip install torchao), or use {flag.replace('int8', 'fp8_e4m3fn')}, as few bytes.",
        ) from error
    torchao.quantize_(net, torchao.Int8WeightOnlyConfig())


def plain(weight: Tensor) -> Tensor:
    """A weight as numbers of one type: integers are multiplied by their scales."""
    return weight.dequantize() if is_traceable_wrapper_subclass(weight) else weight
