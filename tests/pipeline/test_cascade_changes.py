"""Pictures changed and painted over by stages of a cascade, against diffusers' pipelines, with the same noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from diffusers import (
    IFImg2ImgPipeline,
    IFImg2ImgSuperResolutionPipeline,
    IFInpaintingPipeline,
    IFInpaintingSuperResolutionPipeline,
)
from torch import Tensor

from engine.diffusion.sampling import drive
from engine.tensors.noise import initial_noise
from engine.tensors.values import Mask, Pixels
from nodes.cascade import cascade_sample, super_resolve
from tests.oracles.cascade_loops import (
    CFG,
    LARGE_CFG,
    LEVEL,
    NEGATIVE,
    POSITIVE,
    SEED,
    STEPS,
    Twins,
    drawn,
    keeping_noised,
    pipeline,
    reference,
    scheduler,
)
from tests.unit.diffusion.nets import noise

SHARE = 0.75  # 20 of 27 steps; diffusers cuts to whole steps where the engine rounds, which agree here
SMALL, LARGE = (1, 3, 8, 8), (1, 3, 32, 32)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    return Twins(tmp_path_factory.mktemp("cascade"))


def picture(shape: tuple[int, ...], seed: int) -> Tensor:
    return noise(*shape, seed=seed).clamp(-1, 1)


def half(side: int) -> Tensor:
    """A mask whose right half is to be painted anew."""
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 2 :] = 1.0
    return mask


def first(twins: Twins, **settings: Any) -> Tensor:
    start = Pixels(picture(SMALL, 3))
    options = {"seed": SEED, "cfg": CFG, "schedule": STEPS, "denoise": SHARE, **settings}
    return drive(cascade_sample(twins.own[0], POSITIVE, NEGATIVE, start, **options))[0].samples  # type: ignore[arg-type]


def later(twins: Twins, **settings: Any) -> Tensor:
    small, start = Pixels(picture(SMALL, 3)), Pixels(picture(LARGE, 4))
    options = {"seed": SEED, "cfg": LARGE_CFG, "schedule": STEPS, "denoise": SHARE, "start": start, **settings}
    sampling = super_resolve(twins.own[1], POSITIVE, NEGATIVE, small, 4.0, LEVEL, **options)
    return drive(sampling)[0].samples  # type: ignore[arg-type]


def made_first(kind: Any, twins: Twins) -> Any:
    return pipeline(kind, twins.first, 1.5)


def made_later(kind: Any, twins: Twins) -> Any:
    return pipeline(kind, twins.second, 1.0, image_noising_scheduler=scheduler(1.0))


def changed_small(made: Any, noises: Iterator[Tensor], **inputs: Any) -> Tensor:
    return reference(made, noises, image=picture(SMALL, 3), strength=SHARE, guidance_scale=CFG, **inputs)


def changed_large(made: Any, noises: Iterator[Tensor], **inputs: Any) -> Tensor:
    inputs |= {"image": picture(SMALL, 3), "original_image": picture(LARGE, 4), "noise_level": int(1000 * LEVEL)}
    return reference(made, noises, strength=SHARE, guidance_scale=LARGE_CFG, **inputs)


def test_the_first_stage_changes_a_picture_as_diffusers_does(twins: Twins) -> None:
    expected = changed_small(made_first(IFImg2ImgPipeline, twins), drawn(SMALL, SEED))
    assert (first(twins) - expected).abs().max() < 1e-4
    assert expected.std() > 0.1


def test_a_later_stage_changes_a_picture_as_diffusers_does(twins: Twins) -> None:
    made = made_later(IFImg2ImgSuperResolutionPipeline, twins)
    expected = changed_large(made, drawn(LARGE, SEED, small=True))
    assert (later(twins) - expected).abs().max() < 1e-4
    assert expected.std() > 0.1


def test_the_first_stage_paints_over_a_part_as_diffusers_does(twins: Twins) -> None:
    """Ours deviates: the net sees the kept part at the noise level of the step, as Lugmayr et al. 2022 have it.

    diffusers shows it clean, which no net was trained on: its pipeline is made to show it noisy here.
    """
    kept, mask = picture(SMALL, 3), half(8)
    made = keeping_noised(made_first(IFInpaintingPipeline, twins), kept, mask, initial_noise(SMALL, SEED))
    expected = changed_small(made, drawn(SMALL, SEED), mask_image=mask)
    own = first(twins, mask=Mask(mask[0]))
    assert (own - expected).abs().max() < 1e-4
    assert torch.equal(own[..., :4], kept[..., :4])
    assert (own - kept)[..., 4:].abs().mean() > 0.1


def test_a_later_stage_paints_over_a_part_as_diffusers_does(twins: Twins) -> None:
    """Ours deviates as in the first stage: the net sees the kept part at the noise level of the step."""
    kept, mask = picture(LARGE, 4), half(32)
    made = made_later(IFInpaintingSuperResolutionPipeline, twins)
    made = keeping_noised(made, kept, mask, initial_noise(LARGE, SEED))
    expected = changed_large(made, drawn(LARGE, SEED, small=True), mask_image=mask)
    own = later(twins, mask=Mask(mask[0]))
    assert (own - expected).abs().max() < 1e-4
    assert torch.equal(own[..., :16], kept[..., :16])
    assert (own - kept)[..., 16:].abs().mean() > 0.1
