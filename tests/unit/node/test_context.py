"""The plain context works without a run, and says what it cannot do."""

from __future__ import annotations

import pytest

from engine.node import PLAIN, NodeContext
from engine.node.context import ContextError, Note, Progress


def test_the_plain_context_counts_steps_silently() -> None:
    assert list(PLAIN.steps(3)) == [0, 1, 2]
    assert PLAIN.device.type == "cpu"


def test_saving_without_a_run_is_refused() -> None:
    with pytest.raises(ContextError, match="no run that offers saving"):
        PLAIN.save(b"", "x", ".png")


def test_notes_reach_whoever_runs_the_node() -> None:
    notes: list[Note] = []
    list(NodeContext(report=notes.append).steps(2))
    assert notes == [Progress(1, 2), Progress(2, 2)]
