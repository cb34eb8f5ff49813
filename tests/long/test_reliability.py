"""The reliability goals at their full counts: `make test-long`; CI runs the same with fewer (tests/reliability)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.test_kills import kill

pytestmark = pytest.mark.long


def test_a_thousand_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    assert kill(tmp_path, 1000, seed=2)["acknowledged"] > 1000
