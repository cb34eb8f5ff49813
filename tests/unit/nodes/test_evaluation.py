"""Nodes that measure: scores that mean something for the demo model, statistics in files, and the sweep."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.diffusion.sampling import drive
from engine.models.vision.tower import ImageEncoder, load_image_encoder
from engine.tensors.statistics import StatisticsError, read
from engine.tensors.values import Image, Latent
from nodes.evaluation import clip_score, clip_vision_statistics, distance
from nodes.sweep import SweepError, sweep_guidance
from training.base import Base, load_base
from training.image_tower import contrast, ids_of, measured, twin
from training.scenes import caption, random_scene, render

MODELS = Path(__file__).parents[3] / "models"
EMPTY = Latent(torch.zeros(1, 4, 8, 8), empty=True)


@cache
def base() -> Base:
    return load_base(MODELS / "checkpoints" / "easel-demo.safetensors")


@cache
def tower() -> ImageEncoder:
    return load_image_encoder(MODELS / "clip_vision" / "easel-demo-tower.safetensors", torch.device("cpu"))


def scenes(count: int, seed: int) -> tuple[Image, list[str]]:
    rng = np.random.default_rng(seed)
    drawn = [random_scene(rng, testing=True) for _ in range(count)]
    return Image(torch.from_numpy(np.stack([render(scene) for scene in drawn]))), [caption(scene) for scene in drawn]


def test_the_right_prompt_scores_above_a_wrong_one() -> None:
    shares = measured(base(), tower(), 40)
    assert shares["others"] >= 0.95
    assert min(shares["colour"], shares["background"]) >= 0.95


def test_a_line_for_each_picture_is_held_against_its_own() -> None:
    pictures, texts = scenes(4, 3)
    mean, scores = clip_score(base().encoder, tower(), pictures, "\n".join(texts))
    assert mean == pytest.approx(sum(scores) / 4)
    assert scores[2] == pytest.approx(clip_score(base().encoder, tower(), Image(pictures[2:3]), texts[2])[0], abs=1e-3)
    assert mean > clip_score(base().encoder, tower(), pictures, "\n".join(texts[::-1]))[0]


def test_batches_and_lists_gather_and_scenes_are_nearer_to_scenes_than_noise_is() -> None:
    reference = read((MODELS / "statistics" / "easel-demo-scenes.npz").read_bytes(), "easel-demo-scenes.npz")
    pictures, _ = scenes(40, 5)
    parts = [Image(pictures[:25]), Image(pictures[25:])]
    gathered = clip_vision_statistics(tower(), parts)
    again = clip_vision_statistics(tower(), [parts[1]], clip_vision_statistics(tower(), [parts[0]]))
    noise = clip_vision_statistics(tower(), [Image(torch.rand(40, 64, 64, 3))])
    assert gathered.count == again.count == 40
    assert distance(gathered, again) == pytest.approx(0, abs=1e-6)
    assert distance(noise, reference) > 2 * distance(gathered, reference)


def sweep(**changes: Any) -> Any:
    reference = read((MODELS / "statistics" / "easel-demo-scenes.npz").read_bytes(), "easel-demo-scenes.npz")
    given = {
        "model": base().model, "clip": base().encoder, "vae": base().vae, "clip_vision": tower(),
        "reference": reference, "latent_image": EMPTY, "seed": 1, "prompts": "a red circle\n\na blue star\n",
        "scales": "4, 1", "steps": 3, "sampler_name": "euler", "scheduler": "karras",
    }  # fmt: skip
    return drive(sweep_guidance(**{**given, **changes}))


def test_a_sweep_paints_every_prompt_at_every_scale_and_draws_both_measures() -> None:
    plot, pictures, table = sweep()
    assert pictures.shape == (4, 64, 64, 3)
    assert [line.split()[0] for line in table.splitlines()] == ["scale", "1", "4"]
    assert plot.shape[2] == 2 * 640
    _, alone, _ = sweep(scales="4")
    assert torch.allclose(alone, pictures[2:], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": "a red circle"}, "input prompts.*expected at least 2 lines, got 1"),
        ({"scales": "0, 2"}, "input scales.*got 0, 2"),
        ({"scales": "much"}, "input scales.*got much"),
        ({"scales": ""}, "input scales.*got none"),
    ],
)
def test_what_cannot_be_swept_over_is_told(changes: dict[str, str], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        sweep(**changes)


def test_one_picture_has_no_distance() -> None:
    one = clip_vision_statistics(tower(), [scenes(1, 1)[0]])
    with pytest.raises(StatisticsError, match=r"input first.*at least 2 pictures, got 1"):
        distance(one, one)


def test_twins_differ_in_what_is_said_and_equal_captions_are_no_mistake() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_scene(rng) for _ in range(50)]
    twins = [twin(scene, rng) for scene in drawn]
    assert all(caption(a) != caption(b) for a, b in zip(drawn, twins, strict=True))
    assert all(np.abs(render(a) - render(b)).max() > 0.05 for a, b in zip(drawn, twins, strict=True))
    ids = ids_of(base(), ["a red circle", "a red circle", "a blue star"])
    logits = torch.tensor([[5.0, 9.0, 0.0], [9.0, 5.0, 0.0], [0.0, 0.0, 5.0]])
    assert float(contrast(logits, ids)) < 0.02
