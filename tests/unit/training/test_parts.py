"""The parts of the training that can be checked without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training import autoencoder, text_encoder
from training.evaluate import draw, shares
from training.fitting import Batch, Fit, fit
from training.scenes import random_scene

DEMO = Path(__file__).parents[3] / "models" / "checkpoints" / "easel-demo.safetensors"


def test_normalising_keeps_reconstructions_and_makes_latents_standard() -> None:
    torch.manual_seed(0)
    net = autoencoder.Autoencoder(autoencoder.CONFIG).requires_grad_(False)
    x = autoencoder.pictures(np.random.default_rng(0), 16)
    before = net(x)
    autoencoder.normalise(net, x)
    latents = net.encode(x)[0] * autoencoder.SCALE_FACTOR
    assert torch.allclose(net(x), before, atol=1e-4)
    assert torch.allclose(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(latents.std((0, 2, 3)), torch.ones(4), atol=1e-3)


def test_token_ids_of_captions_cover_the_window() -> None:
    ids = text_encoder.token_ids("a small red circle")
    words = text_encoder.vocabulary()
    assert len(ids) == 77
    assert words[ids[0]] == text_encoder.START
    assert {words[i] for i in ids[5:]} == {text_encoder.END}


def _make(rng: np.random.Generator) -> Batch:
    random_scene(rng)
    return (torch.from_numpy(rng.normal(size=(8, 2)).astype(np.float32)),)


def test_fitting_learns_and_goes_on_from_its_state(tmp_path: Path) -> None:
    net = nn.Linear(2, 1)
    target = torch.tensor([[2.0], [-1.0]])

    def loss(batch: Batch) -> Tensor:
        difference: Tensor = net(batch[0]) - batch[0] @ target
        return difference.square().mean()

    how = Fit(minutes=0.02, rate=0.05, warm_up=1, report_every=50)
    state = tmp_path / "state.pt"
    fit(net, _make, loss, how, state)
    learned = net.weight.detach().clone()
    assert torch.allclose(learned, target.T, atol=0.3)
    again = nn.Linear(2, 1)
    fit(again, _make, loss, how, state)  # its time is used up: it only takes the state
    assert torch.equal(again.weight, learned)


def test_the_demo_model_draws_held_out_prompts_right() -> None:
    pictures = draw(DEMO, 20)
    assert shares(pictures)["right"] >= 0.9


def test_the_demo_model_is_small_enough_to_ship() -> None:
    assert DEMO.stat().st_size <= 25_000_000
