"""Devices are chosen by name, and an unknown one is told which there are."""

from __future__ import annotations

import pytest

from engine.tensors.devices import DeviceError, available, choose


def test_the_cpu_is_always_there() -> None:
    assert available()[-1] == "cpu"
    assert choose("cpu").type == "cpu"


def test_without_a_name_the_best_is_taken() -> None:
    assert str(choose(None)) == available()[0]


def test_an_unknown_device_is_refused_with_those_there_are() -> None:
    with pytest.raises(DeviceError, match=r"expected .*cpu, got abacus"):
        choose("abacus")
