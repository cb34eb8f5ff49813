"""GLIGEN in use: boxes of one prompt, and the files that hold its layers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.memory.precision import compute_dtype
from engine.memory.work import in_one_piece
from engine.models.assembly import fill, unfilled
from engine.models.control.errors import ControlError, other_base, sound
from engine.models.detect import ArchitectureError, Shapes, detect, wrong_kind
from engine.models.diffusers_names import is_unet, unet_names
from engine.models.nets.gligen import Gligen, GligenConfig
from engine.models.nets.patches import Call, Patch, Site
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.weights import open_weights
from engine.models.widths import family_of_tokens
from engine.tensors.rows import Row
from engine.tensors.values import Control

MAX_BOXES = 30  # that the nets were trained on
_FUSER = re.compile(r"(?P<place>.*transformer_blocks\.\d+)\.fuser\.(?P<rest>.*)")
_MARK = "position_net.linears.0.weight"


@dataclass(frozen=True, slots=True, eq=False)
class GligenModel:
    """GLIGEN's layers, with the name of their file."""

    socket: ClassVar[str] = "GLIGEN"

    name: str
    net: ModelHandle[Gligen]

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A phrase, as its pooled state `(1, P)`, and where it is to be, in pixels from the upper left corner."""

    phrase: Tensor
    x: int
    y: int
    width: int
    height: int

    def corners(self, row: Row, size: tuple[int, int], downscale: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in shares of the part of `size` cells that a row is about."""
        left, top = self.x / downscale - row.left, self.y / downscale - row.top
        right, bottom = left + self.width / downscale, top + self.height / downscale
        return left / size[1], top / size[0], right / size[1], bottom / size[0]


@dataclass(frozen=True, slots=True, eq=False)
class Grounding(Control, Patch):
    """Boxes for one prompt. On the negative side it says that there are none, as in training without a prompt."""

    kind: ClassVar[str] = "boxes"

    model: GligenModel
    boxes: tuple[Box, ...]
    start: float = 0.0
    end: float = 1.0
    shared: bool = True
    downscale: int = 8  # pixels for a cell, as of all nets that there are boxes for

    def with_box(self, box: Box) -> Grounding:
        """With one more box. Raises `ControlError` for one too many, or a phrase that the net does not know."""
        with self.model.net.look() as net:
            width = net.config.phrase
        if box.phrase.shape[-1] != width:
            raise ControlError(
                "this phrase was encoded by another text encoder than GLIGEN was trained with",
                where=f"{self.model.name}, input clip",
                expected=f"a pooled state of {family_of_tokens(width)}",
                got=f"one of width {box.phrase.shape[-1]}",
                hint="Load GLIGEN made for the checkpoint, or connect the text encoder that it was trained with.",
            )
        if len(self.boxes) == MAX_BOXES:
            raise ControlError(
                "too many boxes",
                where=self.model.name,
                expected=f"{MAX_BOXES} at the most",
                hint="Put several things into one box, or leave some out.",
            )
        return replace(self, boxes=(*self.boxes, box))

    def begun(self, call: Call) -> Patch:
        """The tokens of the boxes, for every row of a call."""
        size = (call.x.shape[-2], call.x.shape[-1])
        handle = self.model.net
        config = call.net.config if isinstance(call.net, UNet) else None
        with handle.look() as net:
            if config is not None:
                _check(self.model.name, net, config)
            phrase = net.config.phrase
        boxes, phrases = torch.zeros(len(call.rows), MAX_BOXES, 4), torch.zeros(len(call.rows), MAX_BOXES, phrase)
        there = torch.zeros(len(call.rows), MAX_BOXES)
        for number, row in enumerate(call.rows):
            for place, box in enumerate(() if row.negative else self.boxes):
                boxes[number, place] = torch.tensor(box.corners(row, size, self.downscale))
                phrases[number, place] = box.phrase[0]
                there[number, place] = 1
        inputs = tuple(t.to(handle.device, handle.dtype) for t in (boxes, phrases, there))

        def placed(net: Gligen, *inputs: Tensor) -> Tensor:
            out: Tensor = net.position_net(*inputs)
            return out

        tokens = handle.run(lambda: in_one_piece("tokens", placed, *inputs), lambda net, _given: placed(net, *inputs))
        return Grounded(self.model, tokens, config)


@dataclass(frozen=True, slots=True, eq=False)
class Grounded(Patch):
    """The tokens `(B, 30, D)` of boxes in one call."""

    model: GligenModel
    tokens: Tensor
    config: UNetConfig | None = field(repr=False)

    def after_self_attention(self, site: Site, x: Tensor) -> Tensor:
        """The tokens `(B, N, C)` of the picture after they looked at the boxes."""
        place = f"{site.part}_{'block' if site.part == 'middle' else f'blocks_{site.block}'}_1"
        layer = f"{place}_transformer_blocks_{site.layer}"
        with self.model.net.look() as net:
            if self.config is None or layer not in net.fusers:
                return x
        heads = self.config.heads(x.shape[-1])

        def fused(net: Gligen, x: Tensor, tokens: Tensor) -> Tensor:
            out: Tensor = net.fusers[layer](x, tokens, heads)
            return out

        inputs = x.to(self.tokens), self.tokens
        work = in_one_piece(layer, fused, *inputs)
        return self.model.net.run(lambda: work, lambda net, _given: fused(net, *inputs)).to(x)


def load_gligen(path: Path, device: torch.device, *, dtype: torch.dtype | None = None) -> GligenModel:
    """Load GLIGEN's layers from a whole checkpoint of it or a file of their own, in the original or diffusers' layout.

    Raises `ArchitectureError` for a file of another kind or with parts missing, and what `open_weights` raises.
    """
    weights = open_weights(path)
    mark = next((name for name in weights if name.endswith(_MARK)), None)
    if mark is None:
        raise wrong_kind(path, detect(weights.shapes), "GLIGEN for boxes with phrases")
    prefix = mark.removesuffix(_MARK)
    names = [name for name in weights if name.startswith(prefix)]
    own = {name: name.removeprefix(prefix) for name in names}
    renamed = unet_names(own.values()) if is_unet(own.values()) else {}
    wanted = {old: _place(renamed.get(new, new)) for old, new in own.items()}
    tensors = {new: weights[old] for old, new in wanted.items() if new is not None}
    config = gligen_config({name: tuple(tensor.shape) for name, tensor in tensors.items()}, path.name)
    with unfilled():
        net = Gligen(config)
    dtype = dtype or compute_dtype(device)
    fill(net, tensors, dtype, path.name, exact=True)
    return GligenModel(path.name, ModelHandle(sound(net, "GLIGEN", path.name), device))


def gligen_config(shapes: Shapes, where: str) -> GligenConfig:
    """The shape of GLIGEN's layers from their tensors in our names. Raises `ArchitectureError` if there are none."""
    null = shapes.get("position_net.null_positive_feature")
    last = shapes.get("position_net.linears.4.weight")
    layers = {name.split(".")[1]: shape[0] for name, shape in shapes.items() if name.endswith(".linear.weight")}
    if null is None or last is None or not layers:
        raise ArchitectureError(
            "GLIGEN's layers are incomplete",
            where=where,
            expected="fuser and position_net tensors",
            hint="Is the file whole?",
        )
    return GligenConfig(null[0], last[1], last[0], layers)


def _place(name: str) -> str | None:
    """Our name of a tensor; None for what is no part of GLIGEN."""
    if name.startswith("position_net."):
        return name
    match = _FUSER.fullmatch(name)
    return None if match is None else f"fusers.{match['place'].replace('.', '_')}.{match['rest']}"


def _check(name: str, net: Gligen, base: UNetConfig) -> None:
    if net.config.tokens != base.context_channels:
        raise other_base(name, "GLIGEN", base, family_of_tokens(net.config.tokens))
    widths = {mult * base.model_channels for mult in base.channel_mult}
    got = set(net.config.layers.values())
    if not got <= widths:
        raise other_base(name, "GLIGEN", base, f"layers of {', '.join(map(str, sorted(got)))} channels")
