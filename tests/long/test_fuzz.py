"""The fuzz of `tests/unit/server/test_fuzz.py` at its full counts: EASEL_FUZZ requests of every sort."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.fuzz import described, frames, nasty, rude, send, upgrade
from tests.unit.server.test_fuzz import is_well_after, talk
from tests.unit.server.world import World

COUNT = int(os.environ.get("EASEL_FUZZ", "10000"))
START = int(os.environ.get("EASEL_FUZZ_SEED", "1000"))
PIECE = 2_000
pytestmark = pytest.mark.long


def test_requests_made_from_our_description_are_answered(tmp_path: Path) -> None:
    async def work(world: World) -> list[str]:
        made, wrong = described(COUNT, START), []
        while piece := list(islice(made, PIECE)):
            wrong += await send(world, piece)
        return wrong

    is_well_after(tmp_path, work)


def test_nasty_texts_in_every_parameter_are_answered(tmp_path: Path) -> None:
    async def work(world: World) -> list[str]:
        return await send(world, list(nasty(world.client.server.app, COUNT, START)))  # type: ignore[attr-defined]

    is_well_after(tmp_path, work)


def test_broken_http_is_answered_or_cut_off(tmp_path: Path) -> None:
    is_well_after(tmp_path, lambda world: talk(world, list(rude(COUNT, START)), least=0.6))


def test_broken_frames_end_their_socket_alone(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        return await talk(world, list(frames(COUNT, START)), upgrade(), least=0.99)

    is_well_after(tmp_path, work)
