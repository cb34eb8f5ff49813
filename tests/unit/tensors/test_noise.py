"""Noise is seeded, drawn on the CPU, and adds up along a Brownian path."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.schedules import SCHEDULES
from engine.tensors.noise import BrownianNoise, GaussianNoise, initial_noise


def test_initial_noise_is_the_one_of_a_seeded_cpu_generator() -> None:
    expected = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(7))
    assert torch.equal(initial_noise((2, 4, 3, 3), 7), expected)


def test_a_batch_index_redraws_the_noise_of_that_place() -> None:
    whole = initial_noise((3, 4, 2, 2), 7, (0, 1, 2))
    assert torch.equal(initial_noise((1, 4, 2, 2), 7, (2,)), whole[2:])


def test_the_largest_seed_is_taken() -> None:
    assert initial_noise((1, 1), 2**64 - 1).shape == (1, 1)


def test_noise_of_the_steps_is_not_the_initial_noise() -> None:
    like = torch.zeros(1, 4, 4, 4)
    assert not torch.equal(GaussianNoise(like, 5)(1.0, 0.5), initial_noise(like.shape, 5))


def test_brownian_increments_add_up() -> None:
    like = torch.zeros(1000)
    noise = BrownianNoise(like, 0.1, 10.0, 0)
    whole = noise(8.0, 2.0) * (8.0 - 2.0) ** 0.5
    parts = noise(8.0, 5.0) * 3.0**0.5 + noise(5.0, 2.0) * 3.0**0.5
    assert torch.allclose(whole, parts, atol=1e-3)
    assert float(noise(8.0, 2.0).std()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_brownian_noise_takes_the_ends_of_every_schedule_without_a_warning(name: str) -> None:
    sigmas = SCHEDULES[name](scaled_linear(), 10)[:-1]
    noise = BrownianNoise(torch.zeros(4), sigmas[-1], sigmas[0], 0)
    assert all(noise(a, b).isfinite().all() for a, b in pairwise(sigmas))
