"""The demo cascade: its objective, what its stages are shown, and what its files paint of held-out prompts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from engine.models.nets.pixel_unet import PixelUNet
from training.cascade import STAGES, Objective, Stage, draw, pass_through, shown
from training.evaluate import shares
from training.scenes import random_scene
from training.text_encoder import WIDTH

MODELS = Path(__file__).parents[3] / "models"
DEMO = MODELS / "checkpoints" / "easel-demo.safetensors"
FILES = [MODELS / "diffusion_models" / f"{stage.name}.safetensors" for stage in STAGES]
LIMIT = 20_000_000  # bytes, all stages together


def step_back(x: Tensor, picture: Tensor, signal: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of the step before, given the picture (Ho et al. 2020, equation 7), and beta."""
    now, before = signal[step], signal[step - 1]
    beta = 1 - now / before
    mean = (before.sqrt() * beta * picture + (now / before).sqrt() * (1 - before) * x) / (1 - now)
    return mean, beta * (1 - before) / (1 - now), beta


@pytest.mark.parametrize("step", [1, 300, 900])
@pytest.mark.parametrize("place", [-1.0, 0.2, 1.0])
def test_the_objective_adds_what_the_variance_lacks_to_the_weighted_error(step: int, place: float) -> None:
    torch.manual_seed(0)
    objective = Objective()
    picture, noise, guess = (torch.randn(2, 3, 4, 4, dtype=torch.float64) for _ in range(3))
    steps = torch.full((2,), step)
    signal = objective.signal.double()
    x = objective.noised(picture, steps, noise)
    own = (x - (1 - signal[step]).sqrt() * guess) / signal[step].sqrt()
    truth, least, beta = step_back(x, picture, signal, step)
    variance = beta ** ((place + 1) / 2) * least ** ((1 - place) / 2)
    lack = kl_divergence(Normal(truth, least.sqrt()), Normal(step_back(x, own, signal, step)[0], variance.sqrt()))
    ratio = signal[step] / (1 - signal[step])
    expected = min(ratio.clamp(1, 100) / ratio, 100) * (guess - noise).square().mean() + lack.mean() / math.log(2)
    answer = torch.cat([guess, torch.full_like(guess, place)], dim=1)
    assert objective(answer, noise, steps).item() == pytest.approx(expected.item(), rel=1e-3)


def test_a_perfect_guess_with_the_posterior_variance_costs_nothing() -> None:
    noise, steps = torch.randn(4, 3, 4, 4), torch.tensor([1, 10, 500, 999])
    assert Objective()(torch.cat([noise, -torch.ones_like(noise)], dim=1), noise, steps).abs() < 1e-6


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_new_net_answers_with_what_it_sees_colour_included(stage: Stage) -> None:
    torch.manual_seed(0)
    net = PixelUNet(stage.config)
    pass_through(net)
    x = torch.randn(2, stage.config.in_channels, 16, 16) + 0.3
    level = torch.tensor([100.0, 400.0]) if stage.small else None
    with torch.no_grad():
        noise, place = net(x, torch.tensor([999.0, 10.0]), torch.randn(2, 77, WIDTH), level).chunk(2, dim=1)
    norm = x[:, :3].square().mean((2, 3), keepdim=True).sqrt()
    assert (noise - x[:, :3] / norm).abs().max() < 1e-3
    assert place.abs().max() == 0


@pytest.mark.parametrize("stage", STAGES[1:], ids=lambda stage: stage.name)
def test_a_later_stage_is_shown_the_same_part_of_both_pictures(stage: Stage) -> None:
    rng = np.random.default_rng(3)
    large, small = shown(stage, [random_scene(rng) for _ in range(64)], rng)
    assert large.shape == small.shape
    assert ((large - small).abs().mean((1, 2, 3)) < 0.25).all()
    assert (large - small.roll(1, dims=0)).abs().mean() > 0.4


def test_all_stages_together_are_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in FILES) <= LIMIT


def test_the_cascade_paints_most_held_out_prompts_right() -> None:
    assert shares(draw(DEMO, FILES, 6))["right"] >= 2 / 3


@pytest.mark.slow
def test_the_cascade_paints_85_of_100_held_out_prompts_right() -> None:
    assert shares(draw(DEMO, FILES, 100))["right"] >= 0.85
