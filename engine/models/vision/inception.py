"""The Inception network that Fréchet distances are measured with, from the user's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.assembly import fill, unfilled
from engine.models.detect import ArchitectureError, detect, wrong_kind
from engine.models.nets.inception import Inception, InceptionConfig
from engine.models.weights import open_weights
from engine.tensors.values import Image

CLASSES = 1008  # of the network of 2015; that of ImageNet, with other weights and poolings, has 1000
_FIRST = "Conv2d_1a_3x3.conv.weight"
_HEADS = ("fc.", "AuxLogits.")


@dataclass(frozen=True, slots=True, eq=False)
class InceptionEncoder:
    """Turns pictures into features."""

    socket: ClassVar[str] = "INCEPTION"

    net: ModelHandle[Inception]

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def encode(self, pictures: Image) -> Tensor:
        """Features `(B, F)` of pictures `(B, H, W, 3 or 4)` in 0..1."""
        x = pictures[..., :3].movedim(-1, 1).float()
        with self.net.lease() as net:
            parts = [net(row[None].to(self.net.device, self.net.dtype)) for row in x]
        return torch.cat(parts).float().cpu()


def load_inception(path: Path, device: torch.device) -> InceptionEncoder:
    """Load the network; it computes in float32.

    Raises `ArchitectureError` for a file of another kind, such as ImageNet's Inception, and what `open_weights` raises.
    """
    weights = open_weights(path)
    if _FIRST not in weights:
        raise wrong_kind(path, detect(weights.shapes), "an Inception network (pt_inception-2015-12-05-6726825d.pth)")
    classes = weights["fc.weight"].shape[0] if "fc.weight" in weights else CLASSES
    if classes != CLASSES:
        raise ArchitectureError(
            "this is not the Inception network of the Fréchet distance",
            where=path.name,
            expected=f"{CLASSES} classes",
            got=f"{classes}",
            hint="Take pt_inception-2015-12-05-6726825d.pth: other networks give other distances.",
        )
    own = {name: tensor for name, tensor in weights.items() if not name.startswith(_HEADS)}
    with unfilled():
        net = Inception(InceptionConfig(weights[_FIRST].shape[0]))
    return InceptionEncoder(ModelHandle(fill(net, own, torch.float32, path.name), device))
