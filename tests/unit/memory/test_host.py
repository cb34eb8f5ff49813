"""The machine's memory: weights in files are told from those that are the process's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.memory import host
from engine.memory.handle import ModelHandle
from engine.memory.host import Held, Host, handles_in, held_by
from engine.models.assembly import fill
from engine.models.weights import open_weights


def mapped(path: Path) -> nn.Module:
    save_file({"weight": torch.ones(64, 64), "bias": torch.ones(64)}, path)
    with torch.device("meta"):
        net = nn.Linear(64, 64)
    return fill(net, open_weights(path), None, "test")


def test_weights_in_a_file_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = mapped(tmp_path / "net.safetensors")
    assert held_by(net) == Held(0, 4 * 65 * 64)
    assert held_by(nn.Linear(64, 64)) == Held(4 * 65 * 64, 0)
    net.weight = nn.Parameter(net.weight.half())  # type: ignore[arg-type,operator]
    assert held_by(net) == Held(2 * 64 * 64, 4 * 64)
    monkeypatch.setattr(host, "MAPS", tmp_path / "none")
    assert held_by(net).mapped == 0


def test_handles_are_found_wherever_they_are_once() -> None:
    @dataclass(frozen=True)
    class Model:
        net: ModelHandle[nn.Module]
        more: tuple[object, ...] = ()

    handle = ModelHandle(nn.Linear(1, 1), torch.device("cpu"))
    assert handles_in([(Model(handle, (5, {"other": Model(handle)})),), torch.ones(1)]) == [handle]


def test_what_is_missing_is_what_others_are_to_have() -> None:
    assert Host(0).missing() == 0
    short = Host(2**60)
    assert short.missing() > 2**59
