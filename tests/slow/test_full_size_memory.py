"""Stable Diffusion 1.5 and SDXL at full size on a simulated device: the same bits under every budget, within its bytes.

Weights are random, lie in bfloat16 in a mapped file, and the UNet computes in it. Pictures are small, so that weights
are nearly all there is to place: 7 GiB of memory for SDXL where everything is resident.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from engine.diffusion.denoiser import denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.memory.device import SimulatedDevice
from engine.memory.precision import PRECISIONS, Precisions
from engine.memory.room import ROOM, Room
from engine.memory.transfer import Direct, Part
from engine.models.checkpoint import Checkpoint, load_checkpoint
from engine.tensors.values import Conditioning, Latent
from tests.oracles import full_size

pytestmark = pytest.mark.slow

GIB = 2**30
PLENTY = 24 * GIB
STEPS = 2
SIDE = 16  # cells of a latent


@dataclass(frozen=True)
class Outcome:
    """What a run made: the states of a prompt, the latent and the picture."""

    tokens: Tensor
    latent: Tensor
    picture: Tensor


@dataclass(frozen=True)
class Case:
    """A checkpoint, and what a run makes where there is room for everything."""

    checkpoint: Checkpoint
    expected: Outcome


@pytest.fixture(scope="module", params=[full_size.sd1_shapes, full_size.sdxl_shapes], ids=["sd1", "sdxl"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    path = full_size.random(tmp_path_factory.mktemp("full") / "random.safetensors", request.param())
    token = PRECISIONS.set(Precisions(unet="bf16"))
    try:
        checkpoint = load_checkpoint(path, torch.device("cpu"))
    finally:
        PRECISIONS.reset(token)
        path.unlink()  # it stays mapped
    with room(PLENTY) as (there, _):
        expected = outcome(checkpoint)
        assert there.hooked == 0
    assert expected.latent.std() > 0.1
    assert expected.picture.std() > 0.01
    yield Case(checkpoint, expected)
    gc.collect()


class Watched(SimulatedDevice):
    """Remembers the most bytes of all, where the room looks for the peak of each piece of work anew."""

    most = 0

    def reset_peak(self) -> None:
        self.most = max(self.most, self.simulation.peak)
        super().reset_peak()


@contextmanager
def room(limit: int) -> Iterator[tuple[Room, Watched]]:
    device = Watched(limit)
    made = Room(device)
    token = ROOM.set(made)
    try:
        yield made, device
    finally:
        ROOM.reset(token)
        made.clear()


def prompts(checkpoint: Checkpoint) -> tuple[Conditioning, Conditioning]:
    assert checkpoint.text_encoder is not None
    return checkpoint.text_encoder.encode("a (red:1.2) circle"), checkpoint.text_encoder.encode("blurry")


def painted(checkpoint: Checkpoint, sides: tuple[Conditioning, Conditioning], count: int = 1) -> Tensor:
    blank = Latent(torch.zeros(count, 4, SIDE, SIDE), downscale=8, empty=True)
    return drive(sample(denoiser_of(checkpoint), *sides, blank, seed=3, cfg=5.0, steps=Steps(STEPS))).samples


def outcome(checkpoint: Checkpoint) -> Outcome:
    assert checkpoint.vae is not None
    sides = prompts(checkpoint)
    latent = painted(checkpoint, sides)
    return Outcome(sides[0].prompts[0].tokens, latent, checkpoint.vae.decode(latent))


@pytest.mark.parametrize("gib", [4, 2, 1])
def test_a_run_is_the_same_to_the_bit_within_every_budget(case: Case, gib: int) -> None:
    with room(gib * GIB) as (there, device):
        got = outcome(case.checkpoint)
        peak = max(device.most, device.simulation.peak)
        assert there.out_of_memory == 0
    assert peak <= gib * GIB
    assert peak > 0.8 * min(case.checkpoint.unet.nbytes, gib * GIB)  # what there is, is made use of
    assert torch.equal(got.tokens, case.expected.tokens)
    assert torch.equal(got.latent, case.expected.latent)
    assert torch.equal(got.picture, case.expected.picture)


@pytest.mark.parametrize("gib", [4, 2, 1])
def test_as_many_bytes_are_streamed_as_were_planned(case: Case, gib: int, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int] = []
    load = Direct.load

    def counted(window: Direct, slot: int, group: int, parts: Sequence[Part]) -> None:
        loaded.append(sum(part.source.nbytes for part in parts))
        load(window, slot, group, parts)

    sides = prompts(case.checkpoint)
    monkeypatch.setattr(Direct, "load", counted)
    with room(gib * GIB) as (there, _):
        painted(case.checkpoint, sides)
        tenant = case.checkpoint.unet.tenancy(there)
        assert tenant is not None
        assert tenant.placing is not None
        placing = tenant.placing
    groups = zip(placing.layout.groups, placing.resident, strict=True)
    away = [sum(slot.nbytes for slot in group.slots) for group, stays in groups if not stays]
    assert bool(away) == (case.checkpoint.unet.nbytes > gib * GIB)
    ahead = sum(away[: placing.slots])  # of one more step, which never comes
    assert sum(loaded) == STEPS * sum(away) + ahead
