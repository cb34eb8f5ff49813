"""What the loop of a sampling costs besides arithmetic: nothing that waits for the device, nothing that piles up."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.guidance import ClassifierFreeGuidance
from engine.diffusion.parameterisation import flow, scaled_linear
from engine.diffusion.predictions import EPSILON, FLOW, Parameterisation
from engine.diffusion.rules import Rescaled
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import sample_custom
from engine.diffusion.schedules import SCHEDULES
from engine.memory.handle import ModelHandle
from engine.models.nets.denoising import DenoisingNet
from engine.models.nets.unet import UNetConfig
from engine.tensors.values import Conditioning, Latent, Prompt
from tests.unit.diffusion.toys import karras, nonlinear, softer, start

WAITS = {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.equal.default", "aten.is_nonzero.default"}
SIDE = 64  # cells: large enough to tell a latent from a table of weights
CHOOSES_STEPS = {"dpm_adaptive"}  # by the size of its error, which it has to know; once a step


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations whose result the host waits for, and the latents that are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits = 0
        self._seen: list[weakref.ref[Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.waits += str(func) in WAITS
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.numel() >= SIDE:
            self._seen.append(weakref.ref(result))
        return result

    def alive(self) -> int:
        """Latents made under watch that are still there."""
        return sum(seen() is not None for seen in self._seen)


def drive_watched(sampler: Any, answer: Callable[[Any], Tensor]) -> tuple[list[int], Watch]:
    """How many latents are alive at each request, and the watch."""
    alive: list[int] = []
    with Watch() as watch:
        try:
            request = next(sampler)
            while True:
                alive.append(watch.alive())
                given = answer(request)
                del request
                request = sampler.send(given)
        except StopIteration:
            return alive, watch


def toys(request: Any) -> Tensor:
    guided = nonlinear(request.x, request.sigma)
    return torch.stack([guided, softer(request.x, request.sigma)]) if request.both else guided


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_neither_waits_for_the_device_nor_piles_latents_up(name: str) -> None:
    x = torch.randn(SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 14.6
    alive, watch = drive_watched(start(name, x, karras(40)), toys)
    assert (watch.waits > 0) == (name in CHOOSES_STEPS)
    early = alive[8 : len(alive) // 2]  # those of several steps have their history by then
    assert max(alive[len(alive) // 2 :]) <= max(early)


class Wave(DenoisingNet):
    """A net that only computes."""

    def __init__(self) -> None:
        super().__init__()
        self.config = UNetConfig(context_channels=8)
        self.weight = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        return (
            torch.tanh(x) * self.weight
            + 1e-4 * timesteps.view(-1, 1, 1, 1)
            + context.mean(dim=(1, 2)).view(-1, 1, 1, 1)
        )


@pytest.mark.parametrize("prediction", [EPSILON, FLOW])
@pytest.mark.parametrize("name", ["euler", "dpmpp_2m_cfg_pp", "dpmpp_2s_ancestral", "seeds_3", "sa_solver_pece"])
def test_a_guided_job_with_a_mask_does_not_wait_for_the_device(name: str, prediction: Parameterisation) -> None:
    levels = flow(3.0) if prediction is FLOW else scaled_linear()
    model = Denoiser(ModelHandle(Wave(), torch.device("cpu")), levels, LatentFormat(), prediction)
    model = model.with_rule(Rescaled(0.7))
    sides = [Conditioning((Prompt(torch.full((1, length, 8), 0.1)),)) for length in (77, 154)]
    mask = (torch.arange(SIDE).view(1, 8, 8) % 2).float()
    latent = Latent(torch.zeros(1, 4, 8, 8), noise_mask=mask)
    guider = ClassifierFreeGuidance(model, *sides, 5.0)
    sampling = sample_custom(guider, SAMPLERS[name], SCHEDULES["simple"](levels, 40), latent, seed=0)
    alive, watch = drive_watched(sampling, lambda request: request.compute())
    assert watch.waits == 0
    assert max(alive[len(alive) // 2 :]) <= max(alive[8 : len(alive) // 2])
