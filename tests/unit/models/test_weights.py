"""Weight files: read without copying, and refused with a clear error when damaged or dangerous."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from engine.foundation.errors import EaselError
from engine.models.formats import MissingFileError
from engine.models.weights import CorruptFileError, UnsafePickleError, WeightsError, open_weights
from engine.store.safetensors_header import FileFormatError, TruncatedFileError
from tests.unit.memory.mappings import resident

STATE = {"a.weight": torch.arange(600.0).reshape(20, 30), "a.bias": torch.ones(3, dtype=torch.float16)}


class Dangerous:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, ("this-must-never-exist",)


def pickled(content: Any, archive: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=archive)
    return buffer.getvalue()


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt", "renamed.ckpt", "old.pt"])
def test_each_format_gives_the_same_tensors(tmp_path: Path, name: str) -> None:
    data = save(STATE) if name in ("a.safetensors", "renamed.ckpt") else pickled(STATE, archive=name != "old.pt")
    weights = open_weights(written(tmp_path, name, data))
    assert weights.shapes == {"a.weight": (20, 30), "a.bias": (3,)}
    assert {key: info.dtype for key, info in weights.tensors.items()} == {"a.weight": "F32", "a.bias": "F16"}
    assert all(torch.equal(weights[key], STATE[key]) for key in STATE)


@pytest.mark.skipif(sys.platform != "linux", reason="mappings are told by Linux only")
def test_nothing_of_a_mapped_file_is_read_before_its_numbers_are_wanted(tmp_path: Path) -> None:
    path = written(tmp_path, "a.safetensors", save({f"{n}": torch.full((2**18,), float(n)) for n in range(8)}))
    weights = open_weights(path)
    tensors = dict(weights)
    assert resident(path) == 0
    assert [float(tensor.sum()) for tensor in tensors.values()] == [2**18 * n for n in range(8)]
    assert resident(path) >= 2**23


@pytest.mark.parametrize("padding", range(4))
def test_numbers_may_begin_at_any_byte(tmp_path: Path, padding: int) -> None:
    """Files that were written before there was a rule for it have no padding behind their header."""
    data = save(STATE)
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip() + b" " * padding
    weights = open_weights(
        written(tmp_path, "a.safetensors", len(header).to_bytes(8, "little") + header + data[8 + length :])
    )
    assert all(torch.equal(weights[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.uint16, torch.int64, torch.float8_e4m3fn])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_every_type_and_shape_is_read(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    known = torch.ones(shape).to(dtype)
    found = open_weights(written(tmp_path, "a.safetensors", save({"a": known})))["a"]
    assert (found.dtype, found.shape) == (dtype, known.shape)
    assert torch.equal(found.float(), known.float())


def test_a_part_has_its_names_without_the_prefix(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors")
    assert list(open_weights(tmp_path / "a.safetensors").part("a.b")) == ["ias"]


def test_metadata_is_kept(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors", {"title": "x"})
    assert open_weights(tmp_path / "a.safetensors").metadata == {"title": "x"}


def test_an_unknown_name_is_a_key_error(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors")
    with pytest.raises(KeyError):
        open_weights(tmp_path / "a.safetensors")["b"]


def test_state_dicts_are_found_under_two_nests(tmp_path: Path) -> None:
    nested = {"epoch": 3, "state_dict": {"state_dict": STATE, "step": 1}}
    assert open_weights(written(tmp_path, "a.ckpt", pickled(nested))).keys() == STATE.keys()


@pytest.mark.parametrize("archive", [True, False])
def test_a_pickle_with_code_is_refused_and_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, "a.ckpt", pickled({"w": STATE, "x": Dangerous()}, archive))
    with pytest.raises(UnsafePickleError, match=r"got posix\.mkdir\. Ask its author for a safetensors file") as caught:
        open_weights(path)
    assert caught.value.code == "unsafe_pickle"
    assert not (tmp_path / "this-must-never-exist").exists()


def test_a_bare_pickle_with_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafePickleError):
        open_weights(written(tmp_path, "a.pt", pickle.dumps(Dangerous(), protocol=2)))


def test_the_training_state_of_the_first_checkpoints_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = types.ModuleType(name)
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": name})
    for end in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
        monkeypatch.setitem(sys.modules, end, module)
    content = {"callbacks": {module.ModelCheckpoint: {"score": np.float64(3)}}, "state_dict": STATE}
    path = written(tmp_path, "a.ckpt", pickled(content))
    monkeypatch.undo()
    assert open_weights(path).keys() == STATE.keys()


@pytest.mark.parametrize(
    ("name", "data", "error", "code"),
    [
        ("a.ckpt", pickled(STATE)[:-200], TruncatedFileError, "truncated_file"),
        ("a.ckpt", pickled(STATE, archive=False)[:-200], TruncatedFileError, "truncated_file"),
        ("a.ckpt", b"", TruncatedFileError, "truncated_file"),
        ("a.ckpt", b"<html>not found</html>", CorruptFileError, "corrupt_file"),
        ("a.ckpt", pickled({"a": 1}), WeightsError, "bad_weights"),
        ("a.ckpt", pickled([1, 2]), WeightsError, "bad_weights"),
        ("a.safetensors", save(STATE)[:-10], TruncatedFileError, "truncated_file"),
        ("a.safetensors", save(STATE)[:30], TruncatedFileError, "truncated_file"),
        ("a.safetensors", b"", TruncatedFileError, "truncated_file"),
        ("a.safetensors", pickled(STATE), FileFormatError, "corrupt_header"),
        ("a.safetensors", b"<html>not found</html>", FileFormatError, "corrupt_header"),
        ("a.safetensors", save(STATE).replace(b"[20,30]", b"[20,31]"), FileFormatError, "corrupt_header"),
        ("a.safetensors", save(STATE).replace(b"F32", b"Q32"), FileFormatError, "corrupt_file"),
    ],
)
def test_damaged_files_are_refused_with_a_code(
    tmp_path: Path, name: str, data: bytes, error: type[EaselError], code: str
) -> None:
    with pytest.raises(error) as caught:
        open_weights(written(tmp_path, name, data))
    assert (caught.value.code, caught.value.where[: len(name)]) == (code, name)


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt"])
@pytest.mark.parametrize(
    ("data", "what", "remedy"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "got a web page", "perhaps to sign in"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "got a pointer of Git LFS", "git lfs pull"),
        (b'{"error":"Unauthorized"}', "got an error message", "sign in or check the address"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 20, "got a picture", "the preview of a model"),
        (b"GGUF\3\0\0\0" + bytes(20), "got a GGUF file", "as safetensors"),
        (b"\x1f\x8b\x08" + b"x" * 20, "got an archive", "Unpack it"),
    ],
)
def test_what_a_download_left_instead_of_weights_is_told(
    tmp_path: Path, name: str, data: bytes, what: str, remedy: str
) -> None:
    with pytest.raises(FileFormatError, match=rf"{name}: .*{what}\. .*{remedy}"):
        open_weights(written(tmp_path, name, data))


def test_a_pickle_that_is_called_safetensors_is_to_be_renamed(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"got a file of torch\.save\. Rename it so that it ends in \.ckpt"):
        open_weights(written(tmp_path, "a.safetensors", pickled(STATE)))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="there is no such file"):
        open_weights(tmp_path / "a.safetensors")


FORMATS = {"a.safetensors": save(STATE), "a.ckpt": pickled(STATE), "a.pt": pickled(STATE, archive=False)}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.lists(st.tuples(st.integers(-400, 600), st.integers(0, 7)), min_size=1))
def test_flipped_bits_give_tensors_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(FORMATS[name])
    for place, bit in flips:
        data[place] ^= 1 << bit
    path = written(tmp_path_factory.getbasetemp(), name, bytes(data))
    try:
        weights = dict(open_weights(path))
    except EaselError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in weights.values())
