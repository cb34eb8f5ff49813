"""The memory bench with a tiny net: its plans, and on a device that stands in for an accelerator, what it measures."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.full_size import Job
from bench.memory import measured_job, plans
from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.parameterisation import scaled_linear
from engine.memory.forecast import Forecast, ImaginedDevice
from engine.memory.handle import ModelHandle
from engine.memory.rates import Rates
from engine.models.nets.unet import UNet, UNetConfig
from tests.unit.memory.lanes import LanedDevice

CPU = torch.device("cpu")
TINY = UNetConfig(model_channels=64, channel_mult=(1, 2), transformer_depth=(1, 1), context_channels=64)
RATES = Rates(bus=1e10, arithmetic=1e12)


def job(net: UNet) -> Job:
    def step(model: Denoiser) -> Tensor:
        return model.denoise(torch.ones(2, 4, 8, 8), 5.0, torch.ones(2, 7, 64))

    return Job("tiny", Denoiser(ModelHandle(net, CPU), scaled_linear(), LatentFormat()), tuple, step)


def test_a_job_is_measured_whole_and_streamed() -> None:
    torch.manual_seed(0)
    net = UNet(TINY)
    nbytes = sum(weight.nbytes for weight in net.parameters())
    for budget, resident in ((8 * nbytes, 1.0), (nbytes, None)):
        row = measured_job(job(net), LanedDevice(), budget, RATES)
        share, peak_of_plan, repeats = (row.line.split()[place] for place in (2, 7, -1))
        assert (float(share) == 1.0) == (resident == 1.0)
        assert 0.1 < float(peak_of_plan) <= 1.0
        assert int(repeats) == 0


def test_a_job_that_does_not_fit_is_told_so_with_what_it_needs() -> None:
    row = measured_job(job(UNet(TINY)), LanedDevice(), 1000, RATES)
    assert "FAILED" in row.line
    assert "expected at least" in row.line


def test_a_job_is_planned_within_every_budget() -> None:
    device = ImaginedDevice(2**50, streams=True)
    with torch.device("meta"):
        net = UNet(TINY)
    hollow = {name: device.nothing_of(tuple(weight.shape), weight.dtype) for name, weight in net.state_dict().items()}
    net.load_state_dict(hollow, assign=True)
    nbytes = sum(weight.nbytes for weight in net.parameters())
    room, tiny = Forecast(device, rates=RATES), job(net)
    (whole,), (part,), (none,) = (plans(tiny, room, limit)["step"] for limit in (8 * nbytes, nbytes, 1000))
    assert (whole.streamed, none.mode) == (0.0, None)
    assert part.streamed > 0
    assert part.nbytes <= nbytes
