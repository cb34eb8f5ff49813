"""A budget from the command line: too small a one is answered with the bytes that it takes, and those are enough."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.app.cli import main
from tests.unit.app.test_bad_input import DEMO, PROMPT, Place


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    made = Place(tmp_path, capsys)
    (made.models / "model.safetensors").symlink_to(DEMO)
    return made


def run(place: Place, budget: int) -> tuple[int, str]:
    options = ["--base-directory", str(place.base), "--device", "simulated", "--vram-budget", str(budget)]
    status = main(["run", str(place.write(PROMPT)), "--quiet", *options])
    return status, place.capsys.readouterr().err


def test_a_budget_below_the_smallest_mode_names_the_bytes_of_it_until_it_is_enough(place: Place) -> None:
    budget = 2**18
    for _ in range(5):  # text, net and decoder may each need more than the one before
        status, said = run(place, budget)
        if status == 0:
            break
        assert status == 1
        named = re.search(r"there is not enough memory: expected at least .* \((\d+) bytes\), got .* at the most", said)
        assert named is not None, said
        assert "--vram-budget" in said
        assert "Traceback" not in said
        assert int(named[1]) > budget
        budget = int(named[1])
    assert status == 0
    assert budget > 2**18
    assert place.results()
