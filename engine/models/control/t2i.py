"""T2I-Adapters in use, and their files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.memory.handle import ModelHandle
from engine.memory.work import Given, in_one_piece
from engine.models.assembly import fill, unfilled
from engine.models.control.controlnet import ControlModel, HintUse
from engine.models.control.errors import other_base, sound
from engine.models.control.hints import channels_of, for_rows
from engine.models.detect import ArchitectureError, Shapes
from engine.models.nets.patches import Call, Patch, Site
from engine.models.nets.t2i_adapter import StageConfig, T2IAdapter, T2IAdapterConfig
from engine.models.nets.unet import UNet, UNetConfig
from engine.tensors.values import Control, Image

BLOCKS = 2  # convolutions of a stage of the full form, which the files count through
SMALL, LARGE = 8, 16  # pixels along a side that become channels, for SD and SDXL
_LEAF = re.compile(r"body\.(?P<block>\d+)\.(?P<rest>(in_conv|block[12])\.(weight|bias))")
_THEIRS = re.compile(r"body\.(?P<stage>\d+)\.resnets\.(?P<block>\d+)\.(?P<rest>.*)")


@dataclass(frozen=True, slots=True, eq=False)
class T2IAdapterModel(ControlModel):
    """An adapter with the name of its file."""

    name: str
    net: ModelHandle[T2IAdapter]

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def control(self, image: Image, strength: float, start: float, end: float, *, shared: bool = False) -> Control:
        """See `ControlModel`."""
        with self.net.look() as net:
            channels_of(image, net.config.hint_channels, self.name)
        return T2IAdapterUse(self, image, strength, start, end, shared)


class T2IAdapterUse(HintUse[T2IAdapterModel]):
    """An adapter with its hint. It is asked once a sampling."""

    __slots__ = ()

    def begun(self, call: Call) -> Patch:
        """What is added in one call."""
        canvas = (call.x.shape[-2], call.x.shape[-1])
        handle = self.model.net
        with handle.look() as net:
            config = net.config
        hint = channels_of(self.image, config.hint_channels, self.model.name)

        def features(part: Tensor) -> tuple[Tensor, ...]:
            def computed(net: T2IAdapter, _given: Given) -> tuple[Tensor, ...]:
                return tuple(net(part.to(handle.device, handle.dtype)))

            return handle.run(lambda: in_one_piece("features", lambda net, x: net(x), part.to(handle.dtype)), computed)

        key = str(handle.device), handle.dtype
        found = for_rows(hint, call.rows, canvas, self.kept, key, features, config.unshuffle)
        added = [(feature * self.strength).to(call.x) for feature in found]
        if not isinstance(call.net, UNet):
            return Features({}, None)
        places = feature_places(call.net.config)
        widths = feature_widths(call.net.config)
        got = [feature.shape[1] for feature in added]
        if got not in (widths, [*widths, widths[-1]]):
            words = f"features of {', '.join(map(str, got))} channels instead of {', '.join(map(str, widths))}"
            raise other_base(self.model.name, "T2I-Adapter", call.net.config, words)
        middle = added[len(places)] if len(added) > len(places) else None
        return Features(dict(zip(places, added, strict=False)), middle)

    def row_numbers(self, net: nn.Module, x: Tensor) -> int:
        """What is added, one map a level."""
        if not isinstance(net, UNet):
            return 0
        height, width = x.shape[-2:]
        return sum(w * -(-height // 2**i) * -(-width // 2**i) for i, w in enumerate(feature_widths(net.config)))


@dataclass(frozen=True, slots=True, eq=False)
class Features(Patch):
    """What is added after input blocks, by their numbers, and after the middle."""

    after: Mapping[int, Tensor]
    middle: Tensor | None

    def skipped(self, site: Site, x: Tensor) -> Tensor:
        """The feature map before it is kept for the way up."""
        added = self.after.get(site.block)
        if added is None:
            return x
        if added.shape[-2:] != x.shape[-2:]:
            added = F.interpolate(added, size=x.shape[-2:], mode="nearest-exact")
        return x + added

    def joined(self, site: Site, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """The feature maps before an output block takes both; the last feature is left out where it does not fit."""
        if site.block == 0 and self.middle is not None and self.middle.shape == x.shape:
            x = x + self.middle
        return x, skip


def feature_places(config: UNetConfig) -> list[int]:
    """After which input block each level takes its feature: before it is halved where it has attention, else after."""
    places, block, last = [], 0, len(config.channel_mult) - 1
    for level, depth in enumerate(config.transformer_depth):
        block += config.num_res_blocks
        places.append(block if depth or level == last else block + 1)
        block += level < last
    return places


def feature_widths(config: UNetConfig) -> list[int]:
    """Channels of each level's feature."""
    return [mult * config.model_channels for mult in config.channel_mult]


def adapter_names(shapes: Shapes) -> dict[str, str] | None:
    """Our name of each of a T2I-Adapter's names, in the original or diffusers' layout; None if it is none.

    The original files of the full form count their convolutions through; those of the light form have our names.
    """
    given = {name: name.removeprefix("adapter.") for name in shapes}
    if "body.0.in_conv.weight" not in given.values() and "conv_in.weight" not in given.values():
        return None
    theirs = any(_THEIRS.match(name) for name in given.values())
    if not theirs and not any(_LEAF.match(name) or ".body." in name for name in given.values()):
        return None
    return {
        old: _ours(name, theirs=theirs, light="conv_in.weight" not in given.values()) for old, name in given.items()
    }


def _ours(name: str, *, theirs: bool, light: bool) -> str:
    if theirs:
        return _THEIRS.sub(r"body.\g<stage>.body.\g<block>.\g<rest>", name)
    match = None if light else _LEAF.fullmatch(name)
    if match is None:
        return name
    stage, block = divmod(int(match["block"]), BLOCKS)
    inside = "" if match["rest"].startswith("in_conv") else f"body.{block}."
    return f"body.{stage}.{inside}{match['rest']}"


def adapter_net(weights: Mapping[str, Tensor], names: Mapping[str, str], dtype: torch.dtype, where: str) -> T2IAdapter:
    """The net of a file's tensors. Raises `ArchitectureError` for missing or unknown ones."""
    named = {new: weights[old] for old, new in names.items()}
    config = adapter_config({name: tuple(tensor.shape) for name, tensor in named.items()}, where)
    with unfilled():
        net = T2IAdapter(config)
    return sound(fill(net, named, dtype, where, exact=True), "T2I-Adapter", where)


def adapter_config(shapes: Shapes, where: str) -> T2IAdapterConfig:
    """The shape of an adapter from those of its tensors in our names."""
    light = "conv_in.weight" not in shapes
    try:
        entering = shapes["body.0.in_conv.weight" if light else "conv_in.weight"][1]
        large = entering % LARGE**2 == 0
        channels = entering // (LARGE if large else SMALL) ** 2
        stages: list[StageConfig] = []
        now = entering if light else shapes["conv_in.weight"][0]
        while f"body.{len(stages)}.body.0.block1.weight" in shapes:
            stage = f"body.{len(stages)}"
            width, _, _, _ = shapes[f"{stage}.body.0.block1.weight"]
            out = shapes[f"{stage}.out_conv.weight"][0] if light else width
            blocks = len({name.split(".")[3] for name in shapes if name.startswith(f"{stage}.body.")})
            down = len(stages) == 2 if large else bool(stages)  # the large form halves once
            stages.append(StageConfig(now, out, width, blocks, shapes[f"{stage}.body.0.block2.weight"][2], down))
            now = out
    except KeyError as error:
        raise ArchitectureError(
            "a tensor is missing", where=where, expected=str(error.args[0]), hint="Is the file whole?"
        ) from error
    if channels not in (1, 3) or not stages:
        raise ArchitectureError(
            "this T2I-Adapter takes hints of a kind that is not known",
            where=where,
            expected="1 or 3 channels",
            got=f"{entering} numbers a cell",
        )
    return T2IAdapterConfig(channels, LARGE if large else SMALL, tuple(stages), light)
