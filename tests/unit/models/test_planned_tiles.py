"""Pictures that a plan cuts into tiles are those of one piece, but for the seams, which are blended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.memory.device import SimulatedDevice
from engine.memory.handle import ModelHandle
from engine.memory.room import ROOM, Room
from engine.models import upscale, vae
from engine.models.nets.compact import CompactConfig, CompactNet
from engine.models.nets.tiny_autoencoder import TinyAutoencoder, TinyConfig, TinyDecoder, TinyEncoder
from engine.models.upscale import UpscaleModel
from engine.models.vae import Vae
from engine.tensors.tiles import Tiling, _spans, tiled
from tests.unit.diffusion.nets import noise

CPU = torch.device("cpu")
MIB = 2**20
TINY = TinyConfig(4, (8, 8), (1, 1))


@dataclass
class Case:
    """What is done in tiles, how far in cells a net sees, and pixels of the answer for a cell."""

    compute: Callable[[], Tensor]
    reach: int
    cell: int


def upscaler() -> Case:
    torch.manual_seed(0)
    net = CompactNet(CompactConfig(features=8, depth=2, scale=2)).eval()
    model = UpscaleModel(ModelHandle(net, CPU), 2, 3, 1000)
    picture = torch.rand(1, 200, 136, 3, generator=torch.Generator().manual_seed(1))
    return Case(lambda: model.upscale(picture), 4, 2)


def autoencoder() -> Vae:
    torch.manual_seed(0)
    return Vae(ModelHandle(TinyAutoencoder(TinyEncoder(TINY), TinyDecoder(TINY), 1.0).eval(), CPU), TINY.downscale, 4)


def decoder() -> Case:
    own, latents = autoencoder(), noise(1, 4, 100, 68)
    return Case(lambda: own.decode(latents), 7, TINY.downscale)


def encoder() -> Case:
    own, picture = autoencoder(), torch.rand(1, 200, 136, 3, generator=torch.Generator().manual_seed(1))
    return Case(lambda: own.encode(picture).movedim(1, -1), 7, 1)


def away(length: int, cut: Tiling, reach: int) -> Tensor:
    """Which cells no tile sees the end of that is not the picture's own."""
    places, good = torch.arange(length), torch.ones(length, dtype=torch.bool)
    for span in _spans(length, cut):
        near = (places - span.start < reach) & (span.start > 0) | (span.stop - 1 - places < reach) & (
            span.stop < length
        )
        good &= ~(near & (places >= span.start) & (places < span.stop))
    return good


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[Tiling]:
    """How pictures were cut."""
    found: list[Tiling] = []

    def watched(x: Tensor, cut: Tiling, *rest: Any) -> Tensor:
        found.append(cut)
        return tiled(x, cut, *rest)

    for module in (upscale, vae):
        monkeypatch.setattr(module, "tiled", watched)
    return found


def in_room(case: Case, limit: int) -> tuple[Tensor, int]:
    """The answer, and the peak."""
    there = Room(SimulatedDevice(limit))
    token = ROOM.set(there)
    try:
        answer = case.compute()
    finally:
        ROOM.reset(token)
    assert there.out_of_memory == 0
    peak = there.device.peak()
    assert peak is not None
    return answer, peak


@pytest.mark.parametrize("make", [upscaler, decoder, encoder])
def test_tiles_of_a_plan_give_the_picture_of_one_piece_away_from_seams(
    make: Callable[[], Case], cuts: list[Tiling]
) -> None:
    case = make()
    whole, peak = in_room(case, 500 * MIB)
    got, tiled_peak = in_room(case, int(peak * 0.6))
    cut = cuts[-1]
    height, width = (side // case.cell for side in whole.shape[1:3])
    assert cut.size < height
    assert tiled_peak <= 0.6 * peak
    sound = away(height, cut, case.reach)[:, None] & away(width, cut, case.reach)
    assert sound.float().mean() > 0.3
    apart = (got - whole).abs().amax(-1)[0]
    of_cells = apart.unflatten(0, (height, case.cell)).unflatten(2, (width, case.cell)).amax((1, 3))
    assert of_cells[sound].max() <= 1e-5
    assert of_cells.max() < 0.3 * (whole.max() - whole.min())  # at the seams both tiles have their say
