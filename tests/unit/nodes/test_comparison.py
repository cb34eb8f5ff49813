"""Samplers compared: what is measured, what is drawn, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.diffusion.comparison import Attempt, measured
from engine.diffusion.denoiser import denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.models.checkpoint import load_checkpoint
from engine.tensors.values import Latent
from nodes.comparison import ComparisonError, compare_samplers

DEMO = Path(__file__).parents[3] / "models" / "checkpoints" / "easel-demo.safetensors"
EMPTY = Latent(torch.zeros(1, 4, 8, 8), empty=True)


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    checkpoint = load_checkpoint(DEMO, torch.device("cpu"))
    assert checkpoint.text_encoder is not None
    positive, negative = (checkpoint.text_encoder.encode(text) for text in ("a large red circle", ""))
    return {
        "model": denoiser_of(checkpoint),
        "positive": positive,
        "negative": negative,
        "latent_image": EMPTY,
        "vae": checkpoint.vae,
        "seed": 3,
        "scheduler": "karras",
    }


def start(parts: dict[str, Any], attempt: Attempt) -> Any:
    plan = Steps(attempt.steps, attempt.sampler, "karras")
    return sample(parts["model"], parts["positive"], parts["negative"], EMPTY, seed=3, cfg=2.0, steps=plan)


def test_each_attempt_gives_what_it_gives_alone_with_its_evaluations_and_time(parts: dict[str, Any]) -> None:
    ticking = iter(range(1000))
    attempts = [Attempt("euler", 2), Attempt("heun", 3)]
    results = drive(measured(attempts, lambda attempt: start(parts, attempt), lambda: float(next(ticking))))
    assert [(result.evaluations, result.seconds) for result in results] == [(2, 1.0), (5, 1.0)]
    for result in results:
        assert torch.equal(result.latent.samples, drive(start(parts, result.attempt)).samples)


def test_progress_runs_once_over_all_attempts(parts: dict[str, Any]) -> None:
    running = measured([Attempt("euler", 2), Attempt("heun", 2)], lambda attempt: start(parts, attempt))
    seen = []

    def watched() -> Any:
        request = next(running)
        while True:
            seen.append((request.step, request.total))
            try:
                request = running.send((yield request))
            except StopIteration:
                return

    drive(watched())
    assert [total for _, total in seen] == [4] * 5
    assert [step for step, _ in seen] == sorted(step for step, _ in seen)
    assert seen[-1][0] == 3


def test_the_reference_is_like_itself_and_more_steps_come_nearer(parts: dict[str, Any]) -> None:
    options = {"samplers": "heun euler", "steps": "16, 2", "reference_sampler": "heun", "reference_steps": 16}
    plot, pictures, table = drive(compare_samplers(**parts, **options))  # type: ignore[arg-type]
    assert len(pictures) == 5
    assert torch.equal(pictures[0], pictures[2])
    assert plot.ndim == 4
    rows = [line.split() for line in table.splitlines()[1:]]
    assert [row[:3] for row in rows] == [
        *[["heun", "2", "3"], ["heun", "16", "31"], ["euler", "2", "2"], ["euler", "16", "16"]]
    ]
    decibels = [float(row[3]) for row in rows]
    assert decibels[1] == 100.0
    assert decibels[3] > decibels[2] + 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samplers": "euler, oiler"}, r"input samplers: there is no such sampler: .*got oiler"),
        ({"samplers": " , "}, "input samplers: there is nothing to compare"),
        ({"steps": "4, two, 0"}, r"input steps: these are no numbers of steps: .*got two, 0"),
        ({"steps": ""}, "input steps.*got none"),
        ({"steps": "1001"}, "got 1001"),
    ],
)
def test_unknown_names_and_numbers_are_named(parts: dict[str, Any], options: dict[str, str], words: str) -> None:
    with pytest.raises(ComparisonError, match=words):
        next(compare_samplers(**parts, reference_sampler="euler", **options))  # type: ignore[arg-type]
