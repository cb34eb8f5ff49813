"""Reports on model files: what they are, of which parts, how large and in which types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models.formats import MissingFileError
from engine.models.inspect import inspect
from engine.store.safetensors_header import TruncatedFileError


def test_a_checkpoint_is_reported_by_parts(checkpoint_file: Path, reference: Any) -> None:
    report = inspect(checkpoint_file)
    assert report.detection.family == "SD 1.x"
    assert [part.name for part in report.components] == ["UNet", "autoencoder", "text encoder"]
    assert report.components[0].parameters == sum(weight.numel() for weight in reference.unet.parameters())
    assert report.components[0].nbytes == 4 * report.components[0].parameters
    assert report.components[2].dtypes == ("F32", "I64")
    assert report.nbytes == sum(weight.nbytes for weight in reference.state.values())


def test_ema_weights_and_strays_are_parts_of_their_own(tmp_path: Path) -> None:
    save_file({"model_ema.w": torch.ones(3), "betas": torch.ones(5).half()}, tmp_path / "a.safetensors", {"a": "b"})
    report = inspect(tmp_path / "a.safetensors")
    assert [(part.name, part.tensors, part.nbytes) for part in report.components] == [
        ("EMA weights", 1, 12),
        ("other tensors", 1, 10),
    ]
    assert (report.parameters, report.metadata) == (8, {"a": "b"})


def test_a_pickle_is_reported_too(tmp_path: Path) -> None:
    torch.save({"state_dict": {"lora_unet_x.lora_up.weight": torch.ones(2, 2)}}, tmp_path / "a.pt")
    report = inspect(tmp_path / "a.pt")
    assert (report.detection.kind, report.nbytes) == ("lora", 16)


def test_a_file_that_is_cut_short_or_missing_is_told(checkpoint_file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(checkpoint_file.read_bytes()[:-1])
    with pytest.raises(TruncatedFileError):
        inspect(tmp_path / "a.safetensors")
    with pytest.raises(MissingFileError, match="there is no such file"):
        inspect(tmp_path / "b.safetensors")
