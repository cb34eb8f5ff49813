"""Resizing and noise."""

from __future__ import annotations

import pytest
import torch

from engine.tensors.noise import BrownianNoise, GaussianNoise, initial_noise
from engine.tensors.resample import IMAGE_METHODS, LATENT_METHODS, resize


@pytest.mark.parametrize("method", sorted({*IMAGE_METHODS, *LATENT_METHODS}))
def test_every_method_keeps_a_flat_picture_flat(method: str) -> None:
    flat = torch.full((2, 3, 8, 12), 0.25)
    out = resize(flat, 20, 6, method)
    assert out.shape == (2, 3, 6, 20)
    assert torch.allclose(out, torch.full_like(out, 0.25), atol=1e-5)


@pytest.mark.parametrize("method", sorted({*IMAGE_METHODS, *LATENT_METHODS}))
def test_the_same_size_changes_nothing(method: str) -> None:
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(resize(x, 8, 8, method), x, atol=1e-5)


def test_a_centred_crop_cuts_to_the_new_proportions() -> None:
    x = torch.arange(8.0).expand(1, 1, 4, 8)
    assert resize(x, 4, 4, "nearest-exact", "center")[0, 0, 0].tolist() == [2, 3, 4, 5]


def test_bislerp_keeps_the_length_between_vectors_of_one_length() -> None:
    x = torch.zeros(1, 2, 1, 2)
    x[0, :, 0, 0], x[0, :, 0, 1] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    lengths = resize(x, 9, 1, "bislerp").norm(dim=1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)


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
