"""Colours of latents: published maps by family, a fitted map for models of their own, a neutral one for the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.diffusion.denoiser import denoiser_of
from engine.models.checkpoint import Checkpoint, load_checkpoint
from engine.models.latent_rgb import family_of, fit_latent_to_rgb, fitted_map, latent_to_rgb
from engine.models.vae import Vae
from engine.tensors.values import LatentPreview
from training.scenes import random_scene, render

DEMO = Path(__file__).parents[3] / "models" / "checkpoints" / "easel-demo.safetensors"
SD1, SDXL = (0.18215, 8), (0.13025, 8)


@pytest.fixture(scope="module")
def demo() -> Checkpoint:
    return load_checkpoint(DEMO, torch.device("cpu"))


@dataclass(frozen=True)
class LinearVae:
    """Encodes each cell as a fixed linear map of its mean colour."""

    matrix: Tensor
    downscale: int = 8

    def encode(self, pixels: Tensor) -> Tensor:
        cells = F.avg_pool2d(pixels.movedim(-1, 1), self.downscale).movedim(1, -1)
        return (cells @ self.matrix).movedim(-1, 1)


def test_families_are_told_by_their_numbers() -> None:
    names = {
        numbers: found.tiny for numbers in ((4, *SD1), (4, *SDXL), (16, 0.3611, 8)) if (found := family_of(*numbers))
    }
    assert list(names.values()) == ["taesd", "taesdxl", "taef1"]
    assert family_of(4, 0.18215, 4) is None
    assert family_of(16, *SD1) is None


@pytest.mark.parametrize(
    ("numbers", "empty", "first"),
    [
        (SD1, (0.5, 0.5, 0.5), (0.649, 0.6035, 0.604)),
        (SDXL, (150 / 255, 140 / 255, 130 / 255), (210 / 255, 200 / 255, 190 / 255)),
    ],
)
def test_published_families_have_their_map(numbers: tuple[float, int], empty: Tensor, first: Tensor) -> None:
    scaled = torch.zeros(1, 4, 2, 3)
    scaled[0, 0, 1, 2] = 1.0
    pixels = latent_to_rgb(LatentPreview(scaled, *numbers))
    assert pixels.shape == (1, 2, 3, 3)
    assert torch.allclose(pixels[0, 0, 0], torch.tensor(empty), atol=1e-6)
    assert torch.allclose(pixels[0, 1, 2], torch.tensor(first), atol=1e-6)


def test_a_map_of_its_own_comes_before_the_familys() -> None:
    to_rgb = torch.zeros(5, 3)
    to_rgb[4] = torch.tensor([0.25, 0.5, 0.75])
    pixels = latent_to_rgb(LatentPreview(torch.randn(1, 4, 2, 2), *SD1, to_rgb))
    assert torch.equal(pixels, to_rgb[4].expand(1, 2, 2, 3))


def test_fitting_finds_the_map_of_a_linear_autoencoder() -> None:
    matrix = torch.linalg.qr(torch.randn(16, 3, generator=torch.Generator().manual_seed(1))).Q.T
    fitted = fit_latent_to_rgb(LinearVae(matrix), 0.5)  # type: ignore[arg-type]
    assert fitted is not None
    colours = torch.rand(10, 3)
    assert torch.allclose(F.pad(colours @ matrix * 0.5, (0, 1), value=1.0) @ fitted, colours, atol=1e-4)


def test_an_autoencoder_of_nonsense_gives_no_map() -> None:
    assert fit_latent_to_rgb(LinearVae(torch.full((3, 4), torch.nan)), 1.0) is None  # type: ignore[arg-type]


def test_the_demo_models_map_shows_its_latents_in_their_colours(demo: Checkpoint) -> None:
    latents = denoiser_of(demo).latents
    rng = np.random.default_rng(3)
    scenes = torch.stack([torch.from_numpy(render(random_scene(rng))).float() for _ in range(6)])
    assert isinstance(demo.vae, Vae)
    scaled = demo.vae.encode(scenes) * latents.scale_factor
    shown = latent_to_rgb(LatentPreview(scaled, latents.scale_factor, latents.downscale, latents.to_rgb))
    truth = F.avg_pool2d(scenes.movedim(-1, 1), latents.downscale).movedim(1, -1)
    assert (shown - truth).square().mean() < 0.15 * truth.flatten(0, 2).var(0).mean()


def test_only_models_with_latents_of_their_own_are_fitted(demo: Checkpoint) -> None:
    assert fitted_map(replace(demo, downscale=8)) is None
    assert fitted_map(replace(demo, vae=None)) is None
    assert denoiser_of(replace(demo, downscale=8)).latents.to_rgb is None


@pytest.mark.parametrize("channels", [1, 2, 3, 9, 16])
def test_unknown_latents_show_their_shapes_on_middle_grey(channels: int) -> None:
    scaled = torch.randn(2, channels, 8, 8) * torch.tensor([1.0, 50.0]).view(2, 1, 1, 1)
    pixels = latent_to_rgb(LatentPreview(scaled, 1.0, 8))
    assert pixels.shape == (2, 8, 8, 3)
    assert ((pixels.flatten(1).mean(1) - 0.5).abs() < 0.05).all()
    assert (pixels.flatten(1).std(1) > 0.1).all()
    assert torch.equal(
        latent_to_rgb(LatentPreview(torch.ones(1, channels, 2, 2), 1.0, 8)), torch.full((1, 2, 2, 3), 0.5)
    )


@pytest.mark.parametrize("numbers", [SD1, (1.0, 8)])
def test_what_is_no_number_turns_black(numbers: tuple[float, int]) -> None:
    pixels = latent_to_rgb(LatentPreview(torch.full((1, 4, 2, 2), torch.nan), *numbers))
    assert torch.equal(pixels, torch.zeros(1, 2, 2, 3))
