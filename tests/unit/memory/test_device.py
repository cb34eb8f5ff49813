"""Devices are chosen by name and count what they hold; a simulated one fails as a real one does."""

from __future__ import annotations

import gc
import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from engine.memory import device
from engine.memory.counting import LiveBytes
from engine.memory.device import DeviceError, SimulatedDevice, available, open_device, refusing


def test_the_cpu_and_the_simulated_device_are_always_there() -> None:
    assert available()[-2:] == ["cpu", "simulated"]
    assert open_device("cpu").place.type == "cpu"
    assert not open_device("cpu").can.own_memory


def test_without_a_name_the_best_is_taken() -> None:
    assert open_device(None).name == available()[0]


def test_an_unknown_device_is_refused_with_those_there_are() -> None:
    with pytest.raises(DeviceError, match=r"expected .*cpu or simulated, got abacus"):
        open_device("abacus")


@pytest.mark.parametrize(
    ("kind", "hip", "names", "expected"),
    [
        ("cuda", None, ["cuda:0", "cuda:1"], "cuda"),
        ("cuda", "6.4", ["cuda:0", "cuda:1"], "rocm"),
        ("xpu", None, ["xpu:0", "xpu:1"], "xpu"),
        ("mps", None, ["mps"], "mps"),
    ],
)
def test_accelerators_are_found_through_torch(
    monkeypatch: pytest.MonkeyPatch, kind: str, hip: str | None, names: list[str], expected: str
) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(torch.version, "hip", hip)
    assert available() == [*names, "cpu", "simulated"]
    assert open_device(None).name == names[0]
    assert open_device(kind).name == names[0]
    assert open_device(names[-1]).kind == expected
    with pytest.raises(DeviceError, match="expected " + " or ".join(names)):
        open_device(f"{kind}:7")


def test_an_accelerator_asks_torch_for_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda _place: (60, 100))
    monkeypatch.setattr(torch.accelerator, "memory_reserved", lambda _place: 30)
    monkeypatch.setattr(torch.accelerator, "memory_allocated", lambda _place: 20)
    there = device.Accelerator(torch.device("cuda:0"), "cuda")
    assert there.figures() == device.MemoryFigures(total=100, free=60, held=30, used=20)


@pytest.mark.parametrize("message", [
    "MPS backend out of memory (MPS allocated: 12.74 GB)",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
])  # fmt: skip
def test_however_a_device_says_that_its_memory_ran_out_it_is_one_error(message: str) -> None:
    with pytest.raises(torch.OutOfMemoryError, match=re.escape(message)), refusing():
        raise RuntimeError(message)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="illegal memory access") as raised, refusing():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    assert type(raised.value) is RuntimeError


def test_where_no_more_memory_is_locked_copies_come_out_of_other_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = torch.empty

    def locked(*sizes: int, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        if pin_memory:
            raise RuntimeError("CUDA error: out of memory")
        return empty(*sizes, **options)

    monkeypatch.setattr(torch, "empty", locked)
    assert device.Accelerator(torch.device("cuda:0"), "cuda").pinned(64).shape == (64,)


def test_the_cpu_computes_on_the_hosts_own_tensors() -> None:
    weight = torch.ones(3)
    assert open_device("cpu").upload(weight) is weight
    assert open_device("cpu").figures().total >= open_device("cpu").figures().free > 0


def test_a_simulated_device_counts_what_is_made_of_its_tensors_and_nothing_else() -> None:
    there = SimulatedDevice(10_000)
    weight = there.upload(torch.ones(10, 10))
    assert there.figures().used == 400
    with torch.inference_mode(), there.computing(), there.computing():
        host = torch.ones(5, 10) * 2
        assert there.figures().used == 400
        made = F.linear(host, weight)
        assert there.figures().used == 600
        made = (made + 1) * 3  # the sum is there beside what it is of and what comes of it
        assert there.peak() == 1000
        assert there.figures().used == 600
    del made, weight
    gc.collect()
    assert there.figures() == device.MemoryFigures(total=10_000, free=10_000)


def test_what_landed_on_the_host_is_not_counted() -> None:
    there = SimulatedDevice()
    weight = there.upload(torch.ones(100))
    with torch.inference_mode(), there.computing():
        made = weight + 1
    there.landed({"answers": [made, "text"]})
    there.landed(made)
    assert there.figures().used == 400
    del made
    assert there.figures().used == 400


def test_strides_survive_an_upload() -> None:
    tensor = torch.arange(12.0).reshape(3, 4).t()
    copy = SimulatedDevice().upload(tensor)
    assert copy.stride() == tensor.stride()
    assert torch.equal(copy, tensor)


def test_beyond_its_bytes_a_simulated_device_fails_as_torch_does() -> None:
    there = SimulatedDevice(1000)
    weight = there.upload(torch.ones(100))
    with pytest.raises(torch.OutOfMemoryError, match="800 bytes wanted, 600 of 1000 free"), there.computing():
        weight.double()
    with there.computing():
        assert weight.add(1).sum() == 200
    assert there.simulation.live == 400


def test_an_allocation_can_be_made_to_fail() -> None:
    there = SimulatedDevice()
    there.simulation.fail_at = 2
    weight = there.upload(torch.ones(100))
    with pytest.raises(torch.OutOfMemoryError), there.computing():
        weight.double()
    with there.computing():
        assert weight.double().sum() == 100


def test_weights_that_were_left_on_the_host_are_found_out() -> None:
    there, net = SimulatedDevice(), nn.Linear(3, 3).requires_grad_(False)
    there.simulation.leave(net.weight)
    device_input = there.upload(torch.ones(1, 3))
    with torch.inference_mode(), there.computing(), pytest.raises(RuntimeError, match="is on the host"):
        net(device_input)


def test_peaks_are_counted_without_memory_too() -> None:
    net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 1)).to("meta").requires_grad_(False)
    with torch.inference_mode(), LiveBytes() as counted:
        net(torch.empty(1, 8, device="meta"))
    assert counted.peak == 4 * (8 + 200)
    assert counted.live == 0
