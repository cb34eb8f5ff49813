"""Resizing."""

from __future__ import annotations

import pytest
import torch

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
