"""What is mapped from files comes into memory before it is touched, as far as there is room for it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from torch import Tensor

from engine.memory.read_ahead import PIECE, read_ahead
from tests.unit.memory.mappings import resident

NAME = "weights"
NBYTES = PIECE + 2**20 + 5
linux = pytest.mark.skipif(sys.platform != "linux", reason="mappings are told by Linux only")


def mapped(folder: Path) -> Tensor:
    """A tensor over a file, no page of which was touched."""
    path = folder / NAME
    path.write_bytes(bytes(NBYTES))
    return torch.from_file(str(path), shared=False, size=NBYTES, dtype=torch.uint8)


@linux
def test_every_page_of_a_mapped_weight_is_read_before_anybody_touches_it(tmp_path: Path) -> None:
    weight = mapped(tmp_path)
    assert resident(tmp_path / NAME) == 0
    thread = read_ahead([weight], least=0)
    assert thread is not None
    thread.join()
    assert resident(tmp_path / NAME) >= NBYTES


@linux
def test_a_part_of_a_file_is_read_alone(tmp_path: Path) -> None:
    weight = mapped(tmp_path)
    thread = read_ahead([weight[: 2**20]], least=0)
    assert thread is not None
    thread.join()
    assert 2**20 <= resident(tmp_path / NAME) < 2**22


def test_little_is_not_worth_a_thread_nor_is_what_is_in_memory_already(tmp_path: Path) -> None:
    assert read_ahead([mapped(tmp_path)]) is None
    assert read_ahead([torch.zeros(8)], least=1) is None


def test_files_that_would_fill_the_memory_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(available=2 * NBYTES - 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert read_ahead([mapped(tmp_path)], least=0) is None
