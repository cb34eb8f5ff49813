"""The estimate of what a transformer's forward takes besides weights, against tensors counted while they are alive."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.nets.dit import DiT, DiTConfig
from engine.models.nets.pixart import PixArt, PixArtConfig
from engine.models.nets.uvit import UViT, UViTConfig
from tests.unit.models.test_activations import Live

SMALL: dict[str, int] = {"width": 144, "hidden": 576, "heads": 2}
NETS: dict[str, tuple[Any, Any]] = {
    "dit": (DiT, DiTConfig(depth=3, **SMALL)),
    "pixart": (PixArt, PixArtConfig(depth=3, context_channels=64, **SMALL)),
    "uvit": (UViT, UViTConfig(depth=3, **SMALL)),
}


def counted(net: torch.nn.Module, height: int, width: int, rows: int) -> float:
    net = net.eval().requires_grad_(False)
    x, labels = torch.zeros(rows, 4, height, width), torch.zeros(rows, dtype=torch.long)
    inputs = (x, torch.zeros(rows), torch.zeros(rows, 20, 64), labels)
    with torch.inference_mode(), Live() as live:
        net(*inputs)
    return live.peak / rows / x.itemsize


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 24)])
@pytest.mark.parametrize("name", NETS)
def test_the_estimate_is_what_is_alive(name: str, height: int, width: int, rows: int) -> None:
    kind, config = NETS[name]
    estimate = config.activations(height, width, 20)
    assert 0.99 <= estimate / counted(kind(config), height, width, rows) < 1.05
