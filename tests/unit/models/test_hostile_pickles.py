"""Weight files that were made to do harm: nothing in them runs, and whoever opens them lives on."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from engine.foundation.errors import EaselError
from engine.models.pickle_process import PickleProcess
from engine.models.weights import CorruptFileError, WeightsError, open_weights
from tests.unit.models.hostile_pickles import hostile


def test_hostile_files_run_nothing_and_end_in_typed_errors(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened, count = [], 0
    for name, data in hostile(canary):
        (tmp_path / "a.ckpt").write_bytes(data)
        count += 1
        said = ""
        try:
            opened.append((name, dict(open_weights(tmp_path / "a.ckpt"))))
        except EaselError as error:
            said = str(error)
        assert str(tmp_path) not in said, name
        assert not canary.exists(), name
    assert count >= 200
    # A storage that claims to be longer than the file is cut to it; what it then holds is the file's own bytes.
    assert {name.split(" ")[0] for name, _ in opened} <= {"storage"}
    assert all(tensor.nbytes < 1000 for _, tensors in opened for tensor in tensors.values())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # kilobytes; the zip bomb of 256 MiB


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read(tmp_path: Path) -> None:
    process = PickleProcess()
    good = saved(tmp_path / "good.pt", {"w": torch.ones(3)})
    try:
        with process.unpacked(good):
            pass
        with (
            pytest.raises(CorruptFileError, match="it takes too long"),
            process.unpacked(saved(tmp_path / "slow.pt", {"w": torch.ones(10_000_000)}), seconds=0.001),
        ):
            pass
        with process.unpacked(good) as unpacked:
            assert unpacked.is_file()
        assert not unpacked.exists()
    finally:
        process.close()


def test_a_file_that_needs_too_much_memory_ends_in_an_error(tmp_path: Path) -> None:
    process = PickleProcess()
    try:
        with (
            pytest.raises((CorruptFileError, WeightsError)),
            process.unpacked(saved(tmp_path / "a.pt", {"w": torch.ones(50_000_000)}), memory=20_000_000),
        ):
            pass
    finally:
        process.close()


def test_a_reader_that_was_killed_is_started_again(tmp_path: Path) -> None:
    process = PickleProcess()
    good = saved(tmp_path / "good.pt", {"w": torch.ones(3)})
    try:
        with process.unpacked(good):
            pass
        running = process._process
        assert running is not None
        running.kill()
        running.wait()
        with process.unpacked(good) as unpacked:
            assert unpacked.is_file()
    finally:
        process.close()


def test_the_tensors_of_a_file_keep_their_numbers_types_and_order(tmp_path: Path) -> None:
    grid = torch.arange(12.0).reshape(3, 4)
    kinds = (torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.int8, torch.bool)
    content = {"turned": grid.T, "part": grid[1:, 2:], "stretched": grid[:1].expand(5, 4), "none": torch.empty(0, 3)}
    content |= {str(kind): grid.to(kind) for kind in kinds} | {"number": torch.tensor(2.5)}
    weights = open_weights(saved(tmp_path / "a.ckpt", content))
    assert list(weights) == list(content)
    assert all(torch.equal(weights[name].float(), tensor.float()) for name, tensor in content.items())
    assert all(weights[name].dtype is tensor.dtype for name, tensor in content.items())


def test_tensors_far_larger_than_their_file_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", {"w": torch.ones(1).expand(2**30)})
    with pytest.raises(CorruptFileError, match="far larger"):
        open_weights(path)
