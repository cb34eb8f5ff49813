"""A control-lora borrows layers of the UNet wherever their weights are: whole, streamed, widened or changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.foundation.settings import VramPolicy
from engine.memory.casting import compute_in
from engine.memory.device import SimulatedDevice
from engine.memory.room import ROOM, Room
from engine.models.control.control_lora import ControlLoraModel
from engine.models.control.controlnet import ControlNetUse
from engine.models.control.reading import load_control
from engine.models.nets.patches import Patch
from engine.tensors.values import Image
from tests.oracles import control
from tests.unit.diffusion.nets import CONTEXT, noise, twins
from tests.unit.models.adapters.files import diffusers_modules, kohya, pairs, saved

CPU = torch.device("cpu")
MIB = 2**20
PICTURE = Image(torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(8)))


@contextmanager
def room(limit: int, policy: VramPolicy = "normal") -> Iterator[Room]:
    made = Room(SimulatedDevice(limit), policy=policy, bounds=(1, 64 * 1024))
    token = ROOM.set(made)
    try:
        yield made
    finally:
        ROOM.reset(token)
        made.clear()


@pytest.fixture(params=["plain", "changed", "half"])
def steered(request: pytest.FixtureRequest, tmp_path: Path) -> Denoiser:
    """A UNet with a control-lora: as it is, with a LoRA, or with weights in half precision."""
    denoiser, unet = twins((32, 64))
    base = {name: weight.detach() for name, weight in denoiser.net.weights().items()}
    file, _ = control.lora_of(control.controlnet(unet, hint=(16, 16, 32, 32)), base)
    save_file({name: tensor.contiguous() for name, tensor in file.items()}, tmp_path / "control.safetensors")
    model = load_control(tmp_path / "control.safetensors", CPU)
    with denoiser.net.look() as net:
        if request.param == "changed":
            adapter = saved(tmp_path, kohya(pairs(diffusers_modules(unet, "to_q", "conv1")), "lora_unet_"))
            denoiser = denoiser.with_adapter(denoiser.changed.fit(adapter, net), 0.8)
        if request.param == "half":
            compute_in(net.half(), torch.float32)
    patch = model.control(PICTURE, 0.9, 0.0, 1.0)
    assert isinstance(patch, Patch)
    return denoiser.with_patches(patch)


def estimate(denoiser: Denoiser) -> Tensor:
    return denoiser.denoise(noise(1, 4, 8, 8), 1.5, noise(1, 5, CONTEXT))


def unhurried(denoiser: Denoiser) -> tuple[Tensor, int]:
    """The estimate with room for everything, and what it takes."""
    with room(100 * MIB) as there:
        found = estimate(denoiser)
        assert (there.hooked, there.whole) == (0, 3)  # the net, the hint's embedding, what is added
        return found, there.device.simulation.peak  # type: ignore[attr-defined]


def test_the_estimate_is_the_same_to_the_bit_under_any_residency(steered: Denoiser) -> None:
    expected, peak = unhurried(steered)
    for limit, policy in ((100 * MIB, "none"), (int(peak * 0.8), "normal"), (int(peak * 0.5), "normal")):
        with room(limit, policy) as there:
            assert torch.equal(estimate(steered), expected)
            assert torch.equal(estimate(steered), expected)
            assert there.out_of_memory == 0
            assert there.hooked >= 2
            assert there.device.simulation.peak <= limit  # type: ignore[attr-defined]


@pytest.mark.parametrize("steered", ["half"], indirect=True)
def test_what_the_file_holds_is_weighed_like_any_net(steered: Denoiser) -> None:
    (use,) = steered.patches
    assert isinstance(use, ControlNetUse)
    assert isinstance(use.model, ControlLoraModel)
    with room(100 * MIB) as there:
        estimate(steered)
        used = there.ledger.figures()["weights"]
    assert use.model.latest.net is not None
    assert used == steered.net.nbytes + use.model.latest.net.nbytes


@pytest.mark.parametrize("steered", ["changed"], indirect=True)
def test_layers_are_the_lenders_again_after_a_failure(steered: Denoiser) -> None:
    expected, _ = unhurried(steered)
    with room(100 * MIB, "none") as there:
        estimate(steered)
        simulation = there.device.simulation  # type: ignore[attr-defined]
        before = simulation.allocations
        estimate(steered)
        count = simulation.allocations - before
        for failures, share in enumerate((0.02, 0.4, 0.8), 1):
            simulation.fail_at = simulation.allocations + int(count * share)
            assert torch.equal(estimate(steered), expected)
            assert there.out_of_memory == failures
