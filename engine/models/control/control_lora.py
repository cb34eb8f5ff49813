"""Control-lora: a ControlNet whose copy of the UNet is the UNet itself, with low-rank changes.

Source: the published control-loras (Stability AI 2023). `X.up` and `X.down` are for layer X of the UNet, whose weight
becomes W + up down; all other tensors stand for their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from engine.models.control.controlnet import ControlModel, ControlNetUse, Run
from engine.models.control.errors import ControlError, other_base
from engine.models.control.hints import channels_of
from engine.models.control.names import hint_levels
from engine.models.nets.control import ControlNet, ControlNetConfig
from engine.models.nets.patches import Call
from engine.models.nets.unet import UNet, UNetConfig
from engine.tensors.values import Control, Image

MARKER = "lora_controlnet"


class LowRank(nn.Module):
    """A linear layer or a convolution with a low-rank change beside it, which is never multiplied out."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        wide = (layer.weight.shape[0], rank)
        if isinstance(layer, nn.Conv2d):
            self.up = nn.Parameter(torch.empty(*wide, 1, 1))
            self.stride, self.padding = layer.stride, layer.padding
        else:
            self.up = nn.Parameter(torch.empty(wide))
        self.down = nn.Parameter(torch.empty(rank, *layer.weight.shape[1:]))

    def forward(self, x: Tensor) -> Tensor:
        """`x` after the changed layer."""
        if self.weight.ndim == 2:
            return F.linear(x, self.weight, self.bias) + F.linear(F.linear(x, self.down), self.up)
        assert not isinstance(self.padding, str)
        small = F.conv2d(x, self.down, None, self.stride, self.padding)
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding) + F.conv2d(small, self.up)


@dataclass(frozen=True, slots=True, eq=False)
class Borrowing:
    """A ControlNet without weights, and those that it computes with for one call."""

    shell: ControlNet
    weights: Mapping[str, Tensor]

    @property
    def config(self) -> ControlNetConfig:
        """Its shape."""
        return self.shell.config

    def embedded(self, hint: Tensor) -> Tensor:
        """See `ControlNet`."""
        prefix = "input_hint_block."
        own = {name.removeprefix(prefix): w for name, w in self.weights.items() if name.startswith(prefix)}
        out: Tensor = functional_call(self.shell.input_hint_block, own, (hint,))
        return out

    def __call__(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None, hint: Tensor, tasks: Sequence[int]
    ) -> list[Tensor]:
        """See `ControlNet`."""
        outputs: list[Tensor] = functional_call(self.shell, dict(self.weights), (x, timesteps, context, y, hint, tasks))
        return outputs


class Shells:
    """The net of the last UNet that a control-lora was used with, and the file's tensors where it computes."""

    __slots__ = ("key", "own", "shell")

    def __init__(self) -> None:
        self.key: object = None
        self.shell: ControlNet | None = None
        self.own: dict[str, Tensor] = {}


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
    shells: Shells = field(default_factory=Shells, repr=False)

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
        """See `ControlNetModel`. The weights are those that the UNet has in this call, with its adapters."""
        return self._borrowed(call)

    @contextmanager
    def _borrowed(self, call: Call) -> Iterator[tuple[Run, torch.device, torch.dtype]]:
        assert isinstance(call.net, UNet)
        device, dtype = call.x.device, call.x.dtype
        key = (call.net.config, str(device), dtype)
        if self.shells.key != key:
            shell = self._shell(call.net.config)
            own = {name: self._placed(name, like, device, dtype) for name, like in shell.state_dict().items()}
            self.shells.shell, self.shells.own = shell, {name: t for name, t in own.items() if t is not None}
            self.shells.key = key
        assert self.shells.shell is not None
        names = self.shells.shell.state_dict().keys()
        base = {name: weight for name, weight in call.net.named_parameters() if name in names}
        missing = [name for name in names if name not in base and name not in self.shells.own]
        if missing:
            raise ControlError(
                "this control-lora is incomplete",
                where=self.name,
                expected=missing[0],
                got=f"{len(self.tensors)} tensors, {len(missing)} too few",
                hint="Is the file whole? Download it again.",
            )
        yield Borrowing(self.shells.shell, {**base, **self.shells.own}), device, dtype

    def _shell(self, base: UNetConfig) -> ControlNet:
        """The net for a UNet, with a place for every low-rank change. Raises `ControlError` if one has none."""
        config = ControlNetConfig(replace(base, in_channels=4), *self._hint())
        with torch.device("meta"):
            shell = ControlNet(config)
            for name, up in self.tensors.items():
                if name.endswith(".up"):
                    self._widen(shell, name.removesuffix(".up"), up, base)
        unknown = [name for name in self.tensors if name not in shell.state_dict()]
        if unknown:
            raise other_base(self.name, "control-lora", base, f"a net that has {unknown[0]}")
        return shell

    def _widen(self, shell: ControlNet, path: str, up: Tensor, base: UNetConfig) -> None:
        parent, _, leaf = path.rpartition(".")
        try:
            layer = shell.get_submodule(path)
        except AttributeError:
            layer = None
        if not isinstance(layer, nn.Linear | nn.Conv2d) or f"{path}.down" not in self.tensors:
            raise other_base(self.name, "control-lora", base, f"a net whose {path} is another layer")
        setattr(shell.get_submodule(parent), leaf, LowRank(layer, up.shape[1]))

    def _placed(self, name: str, like: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor | None:
        tensor = self.tensors.get(name)
        if tensor is None:
            return None
        if tensor.numel() != like.numel() or tensor.shape[0] != like.shape[0]:
            raise ControlError(
                "this control-lora is for another base model",
                where=self.name,
                expected=f"{name} of shape {tuple(like.shape)} for the model that is sampled",
                got=f"{tuple(tensor.shape)}",
                hint="Load a control-lora made for the checkpoint, or a checkpoint of its family.",
            )
        return tensor.reshape(like.shape).to(device, dtype)

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
