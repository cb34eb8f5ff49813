"""The reliability goals at their full counts: `make test-long`; CI runs the same with fewer (tests/reliability)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.test_kills import kill
from tests.reliability.test_power_loss import lose_power
from tests.reliability.test_races import race
from tests.reliability.test_real_worker import kill_real
from tests.reliability.test_signals import stop
from tests.reliability.test_sockets import lose_connections

pytestmark = pytest.mark.long


def test_a_thousand_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    assert kill(tmp_path, 1000, seed=2)["acknowledged"] > 1000


def test_power_lost_at_five_hundred_offsets_leaves_a_prefix_of_the_commits(tmp_path: Path) -> None:
    assert lose_power(tmp_path, 500, seed=2) > 250


def test_a_hundred_signals_stop_the_server_and_lose_nothing(tmp_path: Path) -> None:
    answers = stop(tmp_path, 100, seed=2)
    assert answers["SIGTERM"] + answers["SIGINT"] == 100
    assert answers["503 draining"] > 0


@pytest.mark.parametrize("seed", range(100, 110))
def test_ten_thousand_cancels_in_any_interleaving_end_their_own_jobs(tmp_path: Path, seed: int) -> None:
    assert race(tmp_path, 1000, seed)["running"] > 50


def test_a_thousand_dropped_sockets_hide_no_end_of_a_job(tmp_path: Path) -> None:
    assert lose_connections(tmp_path, 1000)["done"] > 500


def test_fifty_kills_of_the_real_worker_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    assert kill_real(tmp_path, 50)["acknowledged"] > 50
