"""A whole cascade of tiny stages against diffusers' pipelines, composed, with the same noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import IFPipeline, IFSuperResolutionPipeline
from torch import Tensor

from engine.diffusion.cascade import stage_denoiser
from engine.diffusion.sampling import drive
from engine.models.cascade import load_stage_folder
from engine.tensors.values import Pixels
from nodes.cascade import cascade_sample, empty_pixels, super_resolve
from tests.oracles.cascade_loops import (
    CFG,
    CPU,
    LARGE_CFG,
    LEVEL,
    NEGATIVE,
    POSITIVE,
    SEED,
    STEPS,
    WORDS,
    Twins,
    drawn,
    pipeline,
    reference,
    scheduler,
)
from tests.unit.diffusion.nets import noise


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    return Twins(tmp_path_factory.mktemp("cascade"))


def small_reference(twins: Twins, batch: int = 1) -> Tensor:
    made = pipeline(IFPipeline, twins.first, 1.5)
    return reference(made, drawn((batch, 3, 8, 8), SEED), guidance_scale=CFG, num_images_per_prompt=batch)


def small_picture(twins: Twins, batch: int = 1, **settings: Any) -> Pixels:
    sampling = cascade_sample(
        twins.own[0], POSITIVE, NEGATIVE, empty_pixels(8, 8, batch), SEED, CFG, schedule=STEPS, **settings
    )
    return drive(sampling)[0]  # type: ignore[arg-type]


def test_the_whole_cascade_is_that_of_diffusers(twins: Twins) -> None:
    small = small_reference(twins)
    made = pipeline(IFSuperResolutionPipeline, twins.second, 1.0, image_noising_scheduler=scheduler(1.0))
    inputs = {"image": small, "noise_level": 250, "guidance_scale": LARGE_CFG, "height": 32, "width": 32}
    expected = reference(made, drawn((1, 3, 32, 32), SEED + 1, small=True), **inputs)
    own = small_picture(twins)
    assert (own.samples - small).abs().max() < 1e-4
    sampling = super_resolve(twins.own[1], POSITIVE, NEGATIVE, own, 4.0, LEVEL, SEED + 1, LARGE_CFG, schedule=STEPS)
    large, image = drive(sampling)  # type: ignore[arg-type]
    assert (large.samples - expected).abs().max() < 1e-4
    assert expected.std() > 0.1
    assert image.shape == (1, 32, 32, 3)
    assert 0 <= float(image.min()) < float(image.max()) <= 1


def test_a_batch_of_the_first_stage_is_that_of_diffusers(twins: Twins) -> None:
    assert (small_picture(twins, 3).samples - small_reference(twins, 3)).abs().max() < 1e-4


@pytest.mark.parametrize("upscaling", [False, True])
def test_a_folder_of_diffusers_loads_the_same_stage(twins: Twins, tmp_path: Path, upscaling: bool) -> None:
    twins.nets[upscaling].save_pretrained(tmp_path / "unet")
    model = stage_denoiser(load_stage_folder(tmp_path, CPU))
    x, tokens = noise(2, 3, 8, 8), WORDS.expand(2, -1, -1)
    more = {"vector": torch.full((2,), 250.0), "channels": noise(2, 3, 8, 8, seed=4)} if upscaling else {}
    answers = [stage.answer(x, 1.0, tokens, **more) for stage in (model, twins.own[upscaling])]
    assert torch.equal(answers[0].estimate, answers[1].estimate)
    assert answers[0].variance is not None
