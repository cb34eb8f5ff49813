"""Control-lora: a ControlNet whose copy of the UNet is the UNet itself, with low-rank changes.

Source: the published control-loras (Stability AI 2023). `X.up` and `X.down` are for layer X of the UNet, whose weight
becomes W + up down; all other tensors stand for their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from engine.memory.handle import ModelHandle
from engine.models.assembly import fill
from engine.models.control.controlnet import ControlModel, ControlNetUse, Planned, Run
from engine.models.control.errors import ControlError, other_base
from engine.models.control.hints import channels_of
from engine.models.control.names import hint_levels
from engine.models.nets.control import ControlNet, ControlNetConfig
from engine.models.nets.lent import Lent, lending
from engine.models.nets.patches import Call
from engine.models.nets.unet import UNet, UNetConfig
from engine.tensors.values import Control, Image

MARKER = "lora_controlnet"
_OWN = ("zero_convs.", "middle_block_out.", "input_hint_block.")  # what no UNet has


@dataclass(frozen=True, slots=True, eq=False)
class Borrowing(Planned):
    """A ControlNet that has layers of a UNet while it is asked."""

    base: UNet

    def prepared(self, net: ControlNet) -> AbstractContextManager[None]:
        """See `Planned`."""
        return lending(self.base, net)


class Latest:
    """The net of the last kind of UNet that a control-lora was used with."""

    __slots__ = ("key", "net")

    def __init__(self) -> None:
        self.key: object = None
        self.net: ModelHandle[ControlNet] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ControlLoraModel(ControlModel):
    """The tensors of a control-lora by name."""

    name: str
    tensors: Mapping[str, Tensor]
    device: torch.device
    dtype: torch.dtype
    pooled: bool = False
    tasks: tuple[int, ...] = ()
    soft: float = 1.0
    latest: Latest = field(default_factory=Latest, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the file's tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def control(self, image: Image, strength: float, start: float, end: float, *, shared: bool = False) -> Control:
        """See `ControlModel`."""
        channels_of(image, self._hint()[1], self.name)
        return ControlNetUse(self, image, strength, start, end, shared)

    def with_weights(self, base: float) -> ControlModel:
        """See `ControlModel`."""
        return replace(self, soft=base)

    def run(self, call: Call) -> AbstractContextManager[tuple[Run, torch.device, torch.dtype]]:
        """See `ControlNetModel`. What is lent is as the UNet has it in this call, with its adapters."""
        assert isinstance(call.net, UNet)
        device, dtype = call.x.device, call.x.dtype
        key = (call.net.config, str(device), dtype)
        if self.latest.net is None or self.latest.key != key:
            self.latest.net, self.latest.key = self._net(call.net.config, device, dtype), key
        return nullcontext((Borrowing(self.latest.net, call.net), device, dtype))

    def _net(self, base: UNetConfig, device: torch.device, dtype: torch.dtype) -> ModelHandle[ControlNet]:
        """The net for a UNet: its tensors are the file's, all else is lent. Raises `ControlError` if they misfit."""
        with torch.device("meta"):
            net = ControlNet(ControlNetConfig(replace(base, in_channels=4), *self._hint()))
        self._check_places(net, base)
        for path, layer in list(net.named_modules()):
            leaves = frozenset(name for name, weight in layer._parameters.items() if weight is not None)
            if leaves and not path.startswith(_OWN):
                self._lend(net, path, layer, leaves)
        wanted = net.state_dict()
        missing = [name for name in wanted if _in_file(name) not in self.tensors]
        if missing:
            raise ControlError(
                "this control-lora is incomplete",
                where=self.name,
                expected=_in_file(missing[0]),
                got=f"{len(self.tensors)} tensors, {len(missing)} too few",
                hint="Is the file whole? Download it again.",
            )
        own = {name: self._fitted(_in_file(name), like) for name, like in wanted.items()}
        return ModelHandle(fill(net, own, dtype, self.name, exact=True, narrow=True), device)

    def _check_places(self, net: ControlNet, base: UNetConfig) -> None:
        """Raise `ControlError` if a tensor is for a layer that `net` does not have."""
        modules = dict(net.named_modules())
        for name in self.tensors:
            path, _, leaf = name.rpartition(".")
            layer = modules.get(path)
            if leaf in ("up", "down"):
                whole = {f"{path}.up", f"{path}.down"} <= self.tensors.keys()
                if not isinstance(layer, nn.Linear | nn.Conv2d) or not whole:
                    raise other_base(self.name, "control-lora", base, f"a net whose {path} is another layer")
            elif layer is None or layer._parameters.get(leaf) is None:
                raise other_base(self.name, "control-lora", base, f"a net that has {name}")

    def _lend(self, net: ControlNet, path: str, layer: nn.Module, leaves: frozenset[str]) -> None:
        """Put a layer that is lent in the place of `layer`, unless the file has all of it."""
        own = frozenset(leaf for leaf in leaves if f"{path}.{leaf}" in self.tensors)
        up = self.tensors.get(f"{path}.up")
        if own != leaves or up is not None:
            parent, _, leaf = path.rpartition(".")
            setattr(net.get_submodule(parent), leaf, Lent(layer, own, None if up is None else up.shape[1]))

    def _fitted(self, name: str, like: Tensor) -> Tensor:
        """The file's tensor in the shape of `like`, which may have other sides of 1."""
        tensor = self.tensors[name]
        if tensor.numel() != like.numel() or tensor.shape[0] != like.shape[0]:
            raise ControlError(
                "this control-lora is for another base model",
                where=self.name,
                expected=f"{name} of shape {tuple(like.shape)} for the model that is sampled",
                got=f"{tuple(tensor.shape)}",
                hint="Load a control-lora made for the checkpoint, or a checkpoint of its family.",
            )
        return tensor.reshape(like.shape)

    def _hint(self) -> tuple[tuple[int, ...], int]:
        """Channels of the hint net's levels, and of hints."""
        levels = hint_levels({name: tuple(tensor.shape) for name, tensor in self.tensors.items()})
        if not levels:
            raise ControlError(
                "this control-lora is incomplete",
                where=self.name,
                expected="input_hint_block.0.weight",
                hint="Is the file whole? Download it again.",
            )
        return levels, self.tensors["input_hint_block.0.weight"].shape[1]


def _in_file(name: str) -> str:
    """What a file calls a tensor of the net."""
    return name.removesuffix(".weight") if name.endswith((".up.weight", ".down.weight")) else name
