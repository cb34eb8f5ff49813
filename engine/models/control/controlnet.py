"""ControlNets in use: nets with the name of their file, and what they do to one call of a UNet for one hint."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.memory.handle import ModelHandle
from engine.memory.work import Given, in_one_piece
from engine.models.control.errors import ControlError, other_base
from engine.models.control.hints import Kept, channels_of, for_rows
from engine.models.nets.control import ControlNet, ControlNetConfig, kept_maps
from engine.models.nets.patches import Call, Patch, Site
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.widths import family_of_tokens
from engine.tensors.values import Control, Image

TASKS = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)
"""What the published unions are told, in the order of their flags; the first of them know six."""


class ControlModel(ABC):
    """A net that steers by a hint. `name` is that of its file, for messages."""

    socket: ClassVar[str] = "CONTROL_NET"

    name: str

    @abstractmethod
    def control(self, image: Image, strength: float, start: float, end: float, *, shared: bool = False) -> Control:
        """What the net does for a hint `(B, H, W, C)`, from the share `start` of the sampling to `end`."""

    def with_task(self, task: str) -> ControlModel:
        """The same net told what kind of hint it gets; "auto" tells it nothing. Raises `ControlError`."""
        raise ControlError(
            "this is no union of ControlNets",
            where=f"{self.name}, input control_net",
            expected="a file with task embeddings",
            got=f"a net for one kind of hint, told {task}",
            hint="Remove the node: a plain ControlNet needs no type.",
        )

    def with_weights(self, base: float) -> ControlModel:  # noqa: ARG002
        """The same net with soft weights, see `ControlNetModel`. Raises `ControlError` for other kinds of nets."""
        raise ControlError(
            "this net has no weights by depth",
            where=f"{self.name}, input control_net",
            expected="a ControlNet or a control-lora",
            hint="Remove the node: what an adapter adds has no depth to weigh it by.",
        )


class Run(Protocol):
    """A ControlNet that can be asked now."""

    @property
    def config(self) -> ControlNetConfig:
        """Its shape."""
        ...

    def embedded(self, hint: Tensor) -> Tensor:
        """See `ControlNet`."""
        ...

    def least(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None, hint: Tensor, tasks: Sequence[int]
    ) -> int:
        """The least bytes with which all of this can be answered; `hint` is not embedded."""
        ...

    def __call__(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None, hint: Tensor, tasks: Sequence[int]
    ) -> list[Tensor]:
        """See `ControlNet`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A ControlNet that is brought to its device for every question, as memory is planned there."""

    net: ModelHandle[ControlNet]

    @property
    def config(self) -> ControlNetConfig:
        """Its shape."""
        with self.net.look() as net:
            return net.config

    def prepared(self, net: ControlNet) -> AbstractContextManager[None]:  # noqa: ARG002
        """A block in which the net can be asked what it adds."""
        return nullcontext()

    def embedded(self, hint: Tensor) -> Tensor:
        """See `ControlNet`."""

        def computed(net: ControlNet, _given: Given) -> Tensor:
            return net.embedded(hint)

        return self.net.run(lambda: in_one_piece("hint", lambda net, hint: net.embedded(hint), hint), computed)

    def least(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None, hint: Tensor, tasks: Sequence[int]
    ) -> int:
        """The least bytes with which both questions can be answered; `hint` is not embedded."""
        shape = len(x), self.config.unet.model_channels, *x.shape[-2:]
        seen = torch.empty(shape, dtype=x.dtype, device="meta")
        embedding = in_one_piece("hint", lambda net, hint: net.embedded(hint), hint)
        adding = in_one_piece("added", _adding(tasks), *_given_to(x, timesteps, context, seen, y))
        return max(self.net.least(embedding), self.net.least(adding))

    def __call__(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None, hint: Tensor, tasks: Sequence[int]
    ) -> list[Tensor]:
        """See `ControlNet`."""
        added, inputs = _adding(tasks), _given_to(x, timesteps, context, hint, y)

        def computed(net: ControlNet, _given: Given) -> list[Tensor]:
            with self.prepared(net):
                return added(net, *inputs)

        return self.net.run(lambda: in_one_piece("added", added, *inputs), computed)


def _adding(tasks: Sequence[int]) -> Callable[..., list[Tensor]]:
    """What a net adds, of inputs in the order of `_given_to`."""

    def added(net: ControlNet, x: Tensor, times: Tensor, words: Tensor, hint: Tensor, *y: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = net(x, times, words, y[0] if y else None, hint, tasks)
        return outputs

    return added


def _given_to(x: Tensor, timesteps: Tensor, context: Tensor, hint: Tensor, y: Tensor | None) -> tuple[Tensor, ...]:
    return (x, timesteps, context, hint) if y is None else (x, timesteps, context, hint, y)


@dataclass(frozen=True, slots=True, eq=False)
class ControlNetModel(ControlModel):
    """A ControlNet. What it adds is averaged over the picture if `pooled` (the shuffle net was trained so).

    `tasks` are what a union is told. Below 1, `soft` weighs what is added the less the finer it is: by `soft` to the
    power of how many feature maps lie between it and the middle (0.825 in the authors' guess mode).
    """

    name: str
    net: ModelHandle[ControlNet]
    pooled: bool = False
    tasks: tuple[int, ...] = ()
    soft: float = 1.0

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def control(self, image: Image, strength: float, start: float, end: float, *, shared: bool = False) -> Control:
        """See `ControlModel`."""
        with self.net.look() as net:
            wanted = net.config.hint_channels
        channels_of(image, wanted, self.name)
        return ControlNetUse(self, image, strength, start, end, shared)

    def with_task(self, task: str) -> ControlModel:
        """See `ControlModel`."""
        with self.net.look() as net:
            union = net.config.union
        if union is None:
            return ControlModel.with_task(self, task)
        if task == "auto":
            return replace(self, tasks=())
        number = TASKS.index(task)
        if number >= union.tasks:
            raise ControlError(
                "this union was not trained for that",
                where=f"{self.name}, input type",
                expected=f"auto, {', '.join(TASKS[: union.tasks])}",
                got=task,
            )
        return replace(self, tasks=(number,))

    def with_weights(self, base: float) -> ControlModel:
        """See `ControlModel`."""
        return replace(self, soft=base)

    def run(self, call: Call) -> AbstractContextManager[tuple[Run, torch.device, torch.dtype]]:  # noqa: ARG002
        """The net, where it computes and in which type, for one call of a UNet."""
        return nullcontext((Planned(self.net), self.net.device, self.net.dtype))


class Runnable(Protocol):
    """What a use of a ControlNet needs to know of it."""

    @property
    def name(self) -> str:
        """The name of the file."""
        ...

    @property
    def pooled(self) -> bool:
        """See `ControlNetModel`."""
        ...

    @property
    def tasks(self) -> tuple[int, ...]:
        """See `ControlNetModel`."""
        ...

    @property
    def soft(self) -> float:
        """See `ControlNetModel`."""
        ...

    def run(self, call: Call) -> AbstractContextManager[tuple[Run, torch.device, torch.dtype]]:
        """See `ControlNetModel`."""
        ...


Model = TypeVar("Model")


@dataclass(frozen=True, slots=True, eq=False)
class HintUse(Control, Patch, Generic[Model]):
    """A net that steers by a hint `(B, H, W, C)` in 0..1 of any size, times `strength`.

    `kept` is what the net made of the hint in this sampling.
    """

    kind: ClassVar[str] = "hint"

    model: Model
    image: Tensor
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    shared: bool = False
    kept: Kept = field(default_factory=Kept, repr=False)


class ControlNetUse(HintUse[Runnable]):
    """A ControlNet with its hint."""

    __slots__ = ()

    def begun(self, call: Call) -> Patch:
        """What is added in one call; the net is asked for all its rows at once, its hint net once a sampling."""
        model, canvas = self.model, (call.x.shape[-2], call.x.shape[-1])
        base = call.net.config if isinstance(call.net, UNet) else None
        with model.run(call) as (net, device, dtype):
            if base is not None:
                _check_base(model.name, net.config.unet, base, told=call.y is not None)
            hint = channels_of(self.image, net.config.hint_channels, model.name)

            def embed(part: Tensor) -> tuple[Tensor, ...]:
                return (net.embedded(part.to(device, dtype)),)

            cell = net.config.downscale
            (seen,) = for_rows(hint, call.rows, canvas, self.kept, (str(device), dtype), embed, cell=cell)
            x, times, context, y = _asked(model.name, call, net.config.unet, device, dtype)
            outputs = net(x, times, context, y, seen, model.tasks)
        if not bool(outputs[-1].isfinite().all()) and bool(call.x.isfinite().all()):
            raise ControlError(
                "this ControlNet gives numbers that are none",
                where=model.name,
                got="NaN or infinity" + ("" if bool(self.image.isfinite().all()) else ", as in its hint"),
                hint="Its weights are damaged, or overflow in half precision. Download it again.",
            )
        if model.pooled:
            outputs = [output.mean(dim=(2, 3), keepdim=True) for output in outputs]
        last = len(outputs) - 1
        scales = [self.strength * model.soft ** (last - place) for place in range(len(outputs))]
        added = [(out * scale).to(call.x) for out, scale in zip(outputs, scales, strict=True)]
        return Added(tuple(added[:-1]), added[-1])

    def least(self, call: Call) -> int:
        """See `Patch`: the net is asked for all rows at once."""
        with self.model.run(call) as (net, device, dtype):
            x, times, context, y = _asked(self.model.name, call, net.config.unet, device, dtype)
            sides = (side * net.config.downscale for side in x.shape[-2:])
            hint = torch.empty(1, net.config.hint_channels, *sides, dtype=dtype, device="meta")
            return net.least(x, times, context, y, hint, self.model.tasks)

    def row_numbers(self, net: nn.Module, x: Tensor) -> int:
        """What is added has the sizes of what the net keeps; the hint's embedding is as large as its finest level."""
        if not isinstance(net, UNet):
            return 0
        height, width = x.shape[-2:]
        total = net.config.model_channels * height * width
        for channels, halved in kept_maps(net.config):
            total += channels * -(-height // 2**halved) * -(-width // 2**halved)
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Added(Patch):
    """What is added to the feature maps that a net keeps, in the order of the way down, and to its middle."""

    kept: tuple[Tensor, ...]
    middle: Tensor

    def joined(self, site: Site, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """The feature maps before an output block takes both."""
        if site.block == 0:
            x = x + _fitted(self.middle, x)
        return x, skip + _fitted(self.kept[len(self.kept) - 1 - site.block], skip)


def _fitted(added: Tensor, x: Tensor) -> Tensor:
    """In the size of `x`, which another patch may have changed."""
    if added.shape[-2:] in (x.shape[-2:], (1, 1)):
        return added
    return F.interpolate(added, size=x.shape[-2:], mode="nearest-exact")


def _asked(
    name: str, call: Call, config: UNetConfig, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What a net is given of a call: `x`, timesteps, tokens and a vector, where it takes one."""
    y = None if config.vector_channels is None or call.y is None else call.y.to(device, dtype)
    x, times = call.x[:, : config.in_channels].to(device, dtype), call.timesteps.to(device)
    return x, times, _context(name, call, config).to(device, dtype), y


def _context(name: str, call: Call, config: UNetConfig) -> Tensor:
    """The tokens `(B, T, D)` that the net reads: those that a row has for it, else those that the UNet reads.

    Repeating tokens to one length leaves attention as it is.
    """
    if all(row.told is None for row in call.rows):
        return call.context
    rows = [own if row.told is None else row.told for row, own in zip(call.rows, call.context, strict=True)]
    for tokens in rows:
        if tokens.shape[-1] != config.context_channels:
            raise ControlError(
                "this ControlNet is told a prompt of another text encoder",
                where=name,
                expected=f"tokens of width {config.context_channels}",
                got=f"{tokens.shape[-1]}",
                hint="Encode the ControlNet's prompt with the text encoder of the checkpoint.",
            )
    length = math.lcm(*map(len, rows))
    return torch.stack([tokens.to(call.context).repeat(length // len(tokens), 1) for tokens in rows])


def _check_base(name: str, own: UNetConfig, base: UNetConfig, *, told: bool) -> None:
    if own.context_channels != base.context_channels:
        raise other_base(name, "ControlNet", base, family_of_tokens(own.context_channels))
    if kept_maps(own) != kept_maps(base):
        raise other_base(name, "ControlNet", base, f"feature maps of {_in_words(own)} instead of {_in_words(base)}")
    if own.vector_channels is not None and (not told or own.vector_channels != base.vector_channels):
        got = f"a net that is told a vector of width {own.vector_channels}"
        raise other_base(name, "ControlNet", base, got)


def _in_words(config: UNetConfig) -> str:
    widths = [mult * config.model_channels for mult in config.channel_mult]
    return f"{'/'.join(map(str, widths))} channels, {config.num_res_blocks} a level"
