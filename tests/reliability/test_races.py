from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.reliability.races import Races


def race(folder: Path, cancels: int, seed: int) -> dict[str, int]:
    """Cancels in random interleavings; prints what they met."""
    answers = dict(asyncio.run(Races(folder, seed).run(cancels)))
    print(answers)
    return answers


@pytest.mark.parametrize("seed", range(3))
def test_a_cancel_in_any_interleaving_ends_its_own_job_and_no_other(tmp_path: Path, seed: int) -> None:
    answers = race(tmp_path, 150, seed)
    assert answers["pending"] > 10
    assert answers["running"] > 0
