"""Ancestral sampling with fixed and learned variance on respaced timesteps, against diffusers' DDPM scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.pipelines.deepfloyd_if import timesteps as published
from torch import Tensor

from engine.diffusion.parameterisation import NoiseLevels, cosine, linear
from engine.diffusion.respacing import RESPACINGS, SPACINGS, at_timesteps, respaced, spaced
from engine.diffusion.samplers import SAMPLERS, Sampler
from engine.foundation.bounds import BoundsError
from engine.tensors.noise import NoiseSource
from tests.unit.diffusion.nets import noise

BETAS = {"squaredcos_cap_v2": cosine(), "linear": linear()}


def net(x: Tensor, timestep: float, levels: NoiseLevels) -> Tensor:
    """About the noise of normal pictures of deviation 0.5, and a variance that depends on what is seen and on when."""
    signal = 1 / (1 + levels.sigma(timestep) ** 2)
    epsilon = x * (1 - signal) ** 0.5 / (0.25 * signal + 1 - signal) + 0.02 * signal * torch.sin(3 * x)
    return torch.cat([epsilon, torch.cos(2 * x + timestep / 50)], dim=1)


def reference(timesteps: Sequence[int], betas: str, variance: str) -> Tensor:
    scheduler = DDPMScheduler(beta_schedule=betas, variance_type=variance)
    scheduler.set_timesteps(timesteps=list(timesteps))
    x, drawn = noise(2, 3, 8, 8), iter(_noises(len(timesteps)))
    for timestep in scheduler.timesteps:
        answer = net(x, float(timestep), BETAS[betas])
        with patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(drawn)):
            answer = answer if variance == "learned_range" else answer[:, :3]
            x = scheduler.step(answer, timestep, x).prev_sample
    return x


def own(timesteps: Sequence[int], levels: NoiseLevels, *, learned: bool) -> Tensor:
    sigmas, drawn = at_timesteps(levels, timesteps), iter(_noises(len(timesteps)))

    def source(_sigma: float, _next: float, _shape: Sequence[int] | None = None, /) -> Tensor:
        return next(drawn)

    x = noise(2, 3, 8, 8) * (1 + sigmas[0] ** 2) ** 0.5
    return _driven(SAMPLERS["ddpm"].begun(x, sigmas, _typed(source), learned=learned), levels)


def _driven(sampler: Sampler, levels: NoiseLevels) -> Tensor:
    try:
        asked = next(sampler)
        while True:
            answer = net(asked.x / (1 + asked.sigma**2) ** 0.5, levels.timestep(asked.sigma), levels)
            denoised = (asked.x - asked.sigma * answer[:, :3]).clamp(-1, 1)
            asked = sampler.send(torch.stack([denoised, answer[:, 3:]]) if asked.variance else denoised)
    except StopIteration as stop:
        result: Tensor = stop.value
        return result


def _noises(count: int) -> list[Tensor]:
    return [noise(2, 3, 8, 8, seed=number + 1) for number in range(count)]


def _typed(source: Any) -> NoiseSource:
    found: NoiseSource = source
    return found


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("variance", ["learned_range", "fixed_small", "fixed_small_log"])
@pytest.mark.parametrize("name", ["smart50", "super40"])
def test_fifty_steps_equal_those_of_diffusers(name: str, variance: str, betas: str) -> None:
    timesteps = respaced(RESPACINGS[name])
    result = own(timesteps, BETAS[betas], learned=variance == "learned_range")
    assert (result - reference(timesteps, betas, variance)).abs().max() < 1e-4


def test_a_learned_variance_makes_a_difference() -> None:
    timesteps = respaced(RESPACINGS["smart50"])
    with_it, without = (own(timesteps, cosine(), learned=learned) for learned in (True, False))
    assert (with_it - without).abs().max() > 1e-2


@pytest.mark.parametrize("name", RESPACINGS)
def test_respaced_timesteps_are_the_published_ones(name: str) -> None:
    assert respaced(RESPACINGS[name]) == getattr(published, f"{name}_timesteps")


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 7, 20, 30, 50, 100, 999, 1000])
def test_even_spacings_are_those_of_diffusers(spacing: str, steps: int) -> None:
    scheduler = DDPMScheduler(timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    expected = scheduler.timesteps.tolist()
    assert spaced(steps, spacing) == (expected if steps > 1 or spacing != "linspace" else [999])


def test_counts_beyond_the_trained_timesteps_are_refused() -> None:
    with pytest.raises(BoundsError, match=r"input steps: .* expected 1 to 1000, got 1001"):
        spaced(1001, "trailing")
    with pytest.raises(BoundsError, match="expected 1 to 500, got 501"):
        respaced((501, 1))


def test_sigmas_of_timesteps_lead_back_to_them() -> None:
    timesteps = respaced(RESPACINGS["smart100"])
    sigmas = at_timesteps(cosine(), timesteps)
    assert [cosine().timestep(sigma) for sigma in sigmas[:-1]] == timesteps
    assert sigmas[-1] == 0
