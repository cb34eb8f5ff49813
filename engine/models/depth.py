"""Depth from a picture, by the net that depth checkpoints (SD 2 depth) bring along or by one in a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.memory.handle import ModelHandle
from engine.memory.work import Given, Work, in_one_piece
from engine.models.assembly import fill, unfilled
from engine.models.detect import ArchitectureError, Shapes, detect, wrong_kind
from engine.models.nets.dpt import DptConfig, DptHybrid
from engine.models.weights import open_weights
from engine.tensors.values import Image

SIDE, MULTIPLE = 384, 32  # the net was trained on pictures of about this side; its maps halve five times
_PREFIXES = ("depth_model.model.", "")
_MODEL = "pretrained.model."


@dataclass(frozen=True, slots=True, eq=False)
class DepthEstimator:
    """Estimates depth from pictures."""

    socket: ClassVar[str] = "DEPTH_MODEL"

    net: ModelHandle[DptHybrid]

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def estimate(self, pictures: Image) -> Tensor:
        """Inverse depth `(B, h, w)`, larger is nearer, of pictures `(B, H, W, 3)` in 0..1, at about 384 pixels a side.

        Sides are scaled by the factor that changes them least, to multiples of 32 (the original's preparation).
        """
        size = size_for(pictures.shape[1], pictures.shape[2])
        x = F.interpolate(pictures[..., :3].movedim(-1, 1).float(), size=size, mode="bicubic").clamp(0, 1) * 2 - 1

        def estimated(net: DptHybrid, _given: Given) -> Tensor:
            return torch.cat([net(row[None].to(self.net.device, self.net.dtype)).float().cpu() for row in x])

        def work() -> Work:
            return in_one_piece("depth", lambda net, row: net(row), x[:1].to(self.net.dtype), once=True)

        return self.net.run(work, estimated)


def size_for(height: int, width: int) -> tuple[int, int]:
    """The size at which the net sees a picture of `height` x `width`."""
    scale = min(SIDE / height, SIDE / width, key=lambda factor: abs(1 - factor))
    rows, columns = (max(MULTIPLE, round(scale * side / MULTIPLE) * MULTIPLE) for side in (height, width))
    return rows, columns


def load_depth_estimator(path: Path, device: torch.device) -> DepthEstimator:
    """Load a MiDaS DPT-hybrid out of a depth checkpoint or from a file of its own; it computes in float32.

    Raises `ArchitectureError` for a file that holds none, and what `open_weights` raises.
    """
    weights = open_weights(path)
    prefix = next((start for start in _PREFIXES if f"{start}{_MODEL}cls_token" in weights), None)
    if prefix is None:
        raise wrong_kind(path, detect(weights.shapes), "a depth net (MiDaS DPT-hybrid)")
    part = weights.part(prefix)
    try:
        config = dpt_config({name: tuple(tensor.shape) for name, tensor in part.items()})
    except (KeyError, IndexError) as error:
        raise ArchitectureError("the depth net is incomplete", where=path.name, expected=str(error.args[0])) from error
    with unfilled():
        net = DptHybrid(config)
    return DepthEstimator(ModelHandle(fill(net, part, torch.float32, path.name), device))


def dpt_config(shapes: Shapes) -> DptConfig:
    """The net's shape. Raises `KeyError` for a tensor that is missing, `IndexError` where there are no stages."""
    backbone = f"{_MODEL}patch_embed.backbone."
    blocks: list[int] = []
    while f"{backbone}stages.{len(blocks)}.blocks.0.conv3.weight" in shapes:
        start = f"{backbone}stages.{len(blocks)}.blocks."
        blocks.append(len({name.split(".")[7] for name in shapes if name.startswith(start)}))
    layers = len({name.split(".")[3] for name in shapes if name.startswith(f"{_MODEL}blocks.")})
    places, width = shapes[f"{_MODEL}pos_embed"][1:]
    return DptConfig(
        stem=shapes[f"{backbone}stem.conv.weight"][0],
        stages=tuple(shapes[f"{backbone}stages.{i}.blocks.0.conv3.weight"][0] for i in range(len(blocks))),
        blocks=tuple(blocks),
        width=width,
        layers=layers,
        features=shapes["scratch.layer1_rn.weight"][0],
        places=places,
        classes=shapes[f"{_MODEL}head.weight"][0],
    )
