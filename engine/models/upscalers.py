"""Upscalers in files: which net it is, all sizes from the tensors' names and shapes, and the net with its weights.

ESRGAN in its three ways of naming (`model.1.sub.0.RDB1.conv1.0`, `RRDB_trunk.0.RDB1.conv1`, `body.0.rdb1.conv1`),
compact nets, SwinIR. Whatever else there is goes to spandrel, if that is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from engine.memory.handle import ModelHandle
from engine.models.assembly import fill, unfilled
from engine.models.detect import ArchitectureError, detect, wrong_kind
from engine.models.nets.compact import CompactConfig, CompactNet
from engine.models.nets.rrdb import RrdbConfig, RrdbNet
from engine.models.nets.swinir import Ending, SwinConfig, SwinIR
from engine.models.upscale import UpscaleModel
from engine.models.weights import open_weights

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

KINDS = "an upscaler (ESRGAN, Real-ESRGAN, compact or SwinIR; others with spandrel installed)"
OTHER_BYTES_PER_PIXEL = 64 * 2**10  # of nets that are not known: generous, so that tiles start small
JPEG_WINDOW = 7  # the window of SwinIR's models for compressed pictures, which count to 255
_OLD_BLOCK = re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d|conv1x1)(?:\.0)?\.(weight|bias)")
_TRUNK_BLOCK = re.compile(r"RRDB_trunk\.(\d+)\.RDB(\d)\.(conv\d|conv1x1)\.(weight|bias)")
_TRUNK = {"trunk_conv": "conv_body", "HRconv": "conv_hr"}


def load_upscaler(path: Path, device: torch.device) -> UpscaleModel:
    """The upscaler in a file, in float32.

    Raises `ArchitectureError` for a file that holds none, and what `open_weights` raises for a damaged one.
    """
    weights = open_weights(path)
    tensors = {name.removeprefix("module."): name for name in weights}
    shapes = {name: weights.shapes[given] for name, given in tensors.items()}
    for made in (_rrdb, _compact, _swinir):
        found = made(shapes)
        if found is not None:
            net, names = found
            own = {name: weights[tensors[given]] for name, given in names.items()}
            filled = fill(net, own, torch.float32, path.name)
            config = filled.config
            if config.channels not in (1, 3):
                raise ArchitectureError(
                    "this upscaler takes other pictures",
                    where=path.name,
                    expected="1 or 3 channels",
                    got=f"{config.channels}",
                )
            return UpscaleModel(
                ModelHandle(filled, device), config.scale, config.channels, config.bytes_per_pixel, path.name
            )
    other = _from_spandrel({name: weights[given] for name, given in tensors.items()}, device, path.name)
    if other is None:
        raise wrong_kind(path, detect(weights.shapes), KINDS)
    return other


Found: TypeAlias = tuple[Any, dict[str, str]]
"""A net without memory, and the file's name of each of its tensors."""


def _on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with unfilled():
        return make()


def _rrdb(given: Shapes) -> Found | None:
    names = rrdb_names(given)
    shapes = {name: given[old] for name, old in names.items()}
    blocks = _count(shapes, "body.")
    if (
        "conv_first.weight" not in shapes
        or "body.0.rdb1.conv1.weight" not in shapes
        or "conv_last.weight" not in shapes
    ):
        return None
    out_channels = shapes["conv_last.weight"][0]
    features, folded = shapes["conv_first.weight"][:2]
    unshuffle = math.isqrt(folded // out_channels) if folded % out_channels == 0 else 1
    config = RrdbConfig(
        channels=folded // unshuffle**2,
        out_channels=out_channels,
        features=features,
        growth=shapes["body.0.rdb1.conv1.weight"][0],
        blocks=blocks,
        doublings=sum(re.fullmatch(r"conv_up\d+\.weight", name) is not None for name in shapes),
        unshuffle=unshuffle,
        skips="body.0.rdb1.conv1x1.weight" in shapes,
    )
    return _on_meta(lambda: RrdbNet(config)), names


def rrdb_names(given: Shapes) -> dict[str, str]:
    """For each tensor name of Real-ESRGAN the one that the file has for it."""
    if "model.0.weight" in given:
        return dict(_old_names(given))
    names = {}
    for name in given:
        block = _TRUNK_BLOCK.fullmatch(name)
        layer, _, kind = name.rpartition(".")
        upper = re.fullmatch(r"upconv(\d+)", layer)
        if block:
            names[f"body.{block[1]}.rdb{block[2]}.{block[3]}.{block[4]}"] = name
        elif upper:
            names[f"conv_up{upper[1]}.{kind}"] = name
        else:
            names[f"{_TRUNK.get(layer, layer)}.{kind}"] = name
    return names


def _old_names(given: Shapes) -> list[tuple[str, str]]:
    """Of the first ESRGAN files, a numbered sequence: first, body, an enlargement every third, then two more."""
    numbers = sorted({int(name.split(".")[1]) for name in given if re.fullmatch(r"model\.\d+\.(weight|bias)", name)})
    layers = {f"model.{number}": f"conv_up{index}" for index, number in enumerate(numbers[1:-2], start=1)}
    layers |= {f"model.{numbers[0]}": "conv_first"}
    layers |= {f"model.{number}": layer for number, layer in zip(numbers[-2:], ("conv_hr", "conv_last"), strict=False)}
    names = []
    for name in given:
        block = _OLD_BLOCK.fullmatch(name)
        layer, _, kind = name.rpartition(".")
        if block:
            names.append((f"body.{block[1]}.rdb{block[2]}.{block[3]}.{block[4]}", name))
        elif layer in layers:
            names.append((f"{layers[layer]}.{kind}", name))
        elif re.fullmatch(r"model\.1\.sub\.\d+", layer):
            names.append((f"conv_body.{kind}", name))
    return names


def _compact(shapes: Shapes) -> Found | None:
    numbers = [int(name.split(".")[1]) for name in shapes if re.fullmatch(r"body\.\d+\.weight", name)]
    if len(shapes.get("body.0.weight", ())) != 4 or len(shapes.get("body.1.weight", ())) != 1:
        return None
    features, channels = shapes["body.0.weight"][:2]
    scale = math.isqrt(shapes[f"body.{max(numbers)}.weight"][0] // channels)
    config = CompactConfig(channels, features, (max(numbers) - 2) // 2, scale)
    return _on_meta(lambda: CompactNet(config)), {name: name for name in shapes}


def _swinir(shapes: Shapes) -> Found | None:
    first = "layers.0.residual_group.blocks.0"
    table = shapes.get(f"{first}.attn.relative_position_bias_table")
    absolute = "absolute_pos_embed" in shapes  # a variant that no published file has
    if table is None or "conv_first.weight" not in shapes or f"{first}.mlp.fc1.weight" not in shapes or absolute:
        return None
    layers = range(_count(shapes, "layers."))
    window = (math.isqrt(table[0]) + 1) // 2
    width, channels = shapes["conv_first.weight"][:2]
    ending, scale = _ending(shapes, channels)
    config = SwinConfig(
        channels=channels,
        width=width,
        depths=tuple(_count(shapes, f"layers.{number}.residual_group.blocks.") for number in layers),
        heads=tuple(
            shapes[f"layers.{number}.residual_group.blocks.0.attn.relative_position_bias_table"][1] for number in layers
        ),
        window=window,
        mlp_width=shapes[f"{first}.mlp.fc1.weight"][0],
        ending=ending,
        scale=scale,
        three_convolutions="conv_after_body.0.weight" in shapes,
        shifted="layers.0.residual_group.blocks.1.attn_mask" in shapes,
        range=255.0 if window == JPEG_WINDOW else 1.0,
    )
    return _on_meta(lambda: SwinIR(config)), {name: name for name in shapes}


def _ending(shapes: Shapes, channels: int) -> tuple[Ending, int]:
    if "conv_before_upsample.0.weight" not in shapes:
        if "upsample.0.weight" in shapes:
            return "direct", math.isqrt(shapes["upsample.0.weight"][0] // channels)
        return "none", 1
    if "conv_up1.weight" in shapes:
        return "nearest", int(2 ** sum(re.fullmatch(r"conv_up\d\.weight", name) is not None for name in shapes))
    steps = [shape for name, shape in shapes.items() if re.fullmatch(r"upsample\.\d+\.weight", name)]
    return "shuffle", math.prod(math.isqrt(shape[0] // shape[1]) for shape in steps)


def _count(shapes: Shapes, prefix: str) -> int:
    """One more than the highest number behind `prefix`."""
    heads = (name.removeprefix(prefix).partition(".")[0] for name in shapes if name.startswith(prefix))
    return max((int(head) + 1 for head in heads if head.isdigit()), default=0)


def _from_spandrel(weights: dict[str, Tensor], device: torch.device, name: str) -> UpscaleModel | None:
    """The model that spandrel makes of the weights; None without it, or if it does not know them either."""
    if importlib.util.find_spec("spandrel") is None:
        return None
    spandrel = importlib.import_module("spandrel")
    try:
        found = spandrel.ModelLoader().load_from_state_dict(weights)
    except spandrel.UnsupportedModelError:
        return None
    if not isinstance(found, spandrel.ImageModelDescriptor):
        return None
    net = ModelHandle(found.model.float(), device)
    return UpscaleModel(net, found.scale, found.input_channels, OTHER_BYTES_PER_PIXEL, name)
