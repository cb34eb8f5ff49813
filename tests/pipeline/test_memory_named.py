"""A budget that is too small is answered with the bytes that would do, and with these it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.memory.estimate import MARGIN, UNMEASURED
from engine.memory.handle import ModelHandle
from engine.memory.ledger import NoRoomError
from engine.memory.work import in_one_piece
from engine.models.nets.compact import CompactConfig, CompactNet
from engine.models.upscale import UpscaleModel
from tests.pipeline.test_memory import room
from tests.pipeline.test_memory_failures import Controlled
from tests.unit.diffusion.nets import noise
from tests.unit.memory.test_estimate import CASES, Case

CPU = torch.device("cpu")
MIB = 2**20


@dataclass
class Work:
    """What is done, and whether pictures may be cut, so that seams show."""

    compute: Callable[[], Tensor]
    cut: bool = False

    def right(self, expected: Tensor) -> bool:
        apart = (self.compute() - expected).abs() / expected.abs().max()
        return bool(apart.mean() < 0.2) if self.cut else bool(apart.max() <= 1e-5)


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Work]:
    own = Controlled(Path(tmp_path_factory.mktemp("named")))
    sides, vae = own.read(), own.models.vae
    torch.manual_seed(0)
    upscaler = UpscaleModel(ModelHandle(CompactNet(CompactConfig(features=8, depth=2, scale=2)).eval(), CPU), 2, 3, 9)
    picture, latents = torch.rand(1, 96, 96, 3), noise(1, 4, 24, 24)
    return {
        "prompts": Work(lambda: torch.cat([side.prompts[0].tokens for side in own.read()])),
        "sampling with LoRA and ControlNet": Work(lambda: own.sampled(sides)),
        "decoding": Work(lambda: vae.decode(latents), cut=True),
        "encoding": Work(lambda: vae.encode(picture), cut=True),
        "enlarging": Work(lambda: upscaler.upscale(picture), cut=True),
    }


def named_for(work: Work, expected: Tensor, budget: int) -> int | None:
    """The bytes that are named for a budget, with which the work is done; None if the budget does."""
    try:
        with room(budget):
            assert work.right(expected)
        return None
    except NoRoomError as error:
        named = error.needed
    assert named > budget
    with room(named) as (there, simulation):
        assert work.right(expected)
        assert simulation.peak <= named
        assert there.ledger.figures()["activations"] == 0
    return named


def check(work: Work) -> None:
    with room(500 * MIB) as (_, simulation):
        expected = work.compute()
        peak = simulation.peak
    named = named_for(work, expected, peak // 50)
    assert named is not None
    assert named <= MARGIN * UNMEASURED * peak  # no more beyond what is needed than an estimate may be


@pytest.mark.parametrize("name", ["prompts", "sampling with LoRA and ControlNet", "decoding", "encoding", "enlarging"])
def test_the_bytes_that_are_named_are_enough_for_each_part_of_a_run(works: dict[str, Work], name: str) -> None:
    check(works[name])


@pytest.mark.parametrize("make", CASES)
def test_the_bytes_that_are_named_are_enough_for_nets_of_every_kind(make: Callable[[], Case]) -> None:
    case = make()
    handle = ModelHandle(case.net, CPU)

    def computed(net: torch.nn.Module, _given: object) -> Tensor:
        answer = case.compute(net, *case.inputs)
        return answer[-1] if isinstance(answer, list) else answer  # type: ignore[return-value]

    check(Work(lambda: handle.run(lambda: in_one_piece("it", case.compute, *case.inputs), computed)))
