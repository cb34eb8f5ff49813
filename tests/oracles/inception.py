"""Golden features of the Inception network of Fréchet distances, by pytorch-fid and torchvision.

`python -m tests.oracles.inception FOLDER`, where FOLDER holds the unpacked wheels of both, writes the golden files.
Weights are made of their names, so that the files need not hold any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def weights_of(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Random weights that keep features of the order of 1."""
    return {name: _weight(name, tuple(shape)) for name, shape in shapes.items()}


def picture() -> Tensor:
    """A picture `(1, H, W, 3)` in 0..1."""
    return torch.rand(1, 64, 80, 3, generator=torch.Generator().manual_seed(1))


def _weight(name: str, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    if not shape:
        return torch.tensor(0)
    if len(shape) > 1:
        return torch.randn(shape, generator=generator) * (2 / torch.Size(shape[1:]).numel()) ** 0.5
    drawn = torch.rand(shape, generator=generator)
    if name.endswith("running_var"):
        return 0.5 + drawn
    return 0.8 + 0.4 * drawn if name.endswith("bn.weight") else 0.2 * (drawn - 0.5)


def _reference() -> Any:
    """The network as pytorch-fid builds it. torchvision's own operators are not there, and not needed."""
    real = torch.library.register_fake

    def without_theirs(name: Any, *args: Any, **options: Any) -> Any:
        return (lambda f: f) if str(name).startswith("torchvision::") else real(name, *args, **options)

    torch.library.register_fake = without_theirs  # type: ignore[assignment]
    from pytorch_fid import inception

    net = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    for block, pool in (("5b", 32), ("5c", 64), ("5d", 64)):
        channels = {"5b": 192, "5c": 256, "5d": 288}[block]
        setattr(net, f"Mixed_{block}", inception.FIDInceptionA(channels, pool_features=pool))
    for block, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        setattr(net, f"Mixed_{block}", inception.FIDInceptionC(768, channels_7x7=inner))
    net.Mixed_7b, net.Mixed_7c = inception.FIDInceptionE_1(1280), inception.FIDInceptionE_2(2048)
    inception.fid_inception_v3 = lambda: net
    return net, inception.InceptionV3([3]).eval()


def main() -> None:
    sys.path.append(sys.argv[1])
    net, wrapped = _reference()
    shapes = {name: list(weight.shape) for name, weight in net.state_dict().items()}
    net.load_state_dict(weights_of(shapes))
    with torch.no_grad():
        features = wrapped(picture().movedim(-1, 1))[0][..., 0, 0]
    (GOLDEN / "inception.json").write_text(json.dumps(shapes, indent=0) + "\n")
    np.savez_compressed(GOLDEN / "inception.npz", features=features.numpy())


if __name__ == "__main__":
    main()
