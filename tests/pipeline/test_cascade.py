"""A whole cascade of tiny stages against diffusers' pipelines, composed, with the same noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from diffusers import DDPMScheduler, IFPipeline, IFSuperResolutionPipeline
from diffusers.pipelines.deepfloyd_if import timesteps as published
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.cascade import stage_denoiser
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.extras import NOISE_SEED_OFFSET
from engine.diffusion.sampling import drive
from engine.models.cascade import load_stage, load_stage_folder
from engine.tensors.noise import GaussianNoise, initial_noise
from engine.tensors.values import Conditioning, Pixels, Prompt
from nodes.cascade import cascade_sample, empty_pixels, super_resolve
from tests.oracles.cascade import ENCODER, original_state, unet
from tests.unit.diffusion.nets import noise

CPU = torch.device("cpu")
SEED, CFG, LARGE_CFG, LEVEL = 5, 7.0, 4.0, 0.25
STEPS = "super27"
WORDS, AWAY = noise(1, 7, ENCODER, seed=1), noise(1, 7, ENCODER, seed=2)
POSITIVE, NEGATIVE = (Conditioning((Prompt(tokens),)) for tokens in (WORDS, AWAY))
SIDES = {"prompt_embeds": WORDS, "negative_prompt_embeds": AWAY, "output_type": "pt"}


class Twins:
    """Both stages as diffusers has them, and loaded from files in the original layout."""

    def __init__(self, folder: Path) -> None:
        self.first, self.second = (
            unet((32, 96), (1, 1), size=8),
            unet((32, 96), (1, 2), upscaling=True, size=32, seed=1),
        )
        with torch.no_grad():
            for net in self.nets:  # random nets amplify rounding from step to step, which trained ones do not
                net.conv_out.weight.mul_(0.3)
        self.own = [self._loaded(net, folder / f"{number}.safetensors") for number, net in enumerate(self.nets)]

    @property
    def nets(self) -> tuple[Any, Any]:
        return self.first, self.second

    def _loaded(self, net: Any, path: Path) -> Denoiser:
        save_file(original_state(net), path)
        return stage_denoiser(load_stage(path, CPU))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    return Twins(tmp_path_factory.mktemp("cascade"))


def scheduler(maximum: float) -> DDPMScheduler:
    """As published."""
    kind = {"beta_schedule": "squaredcos_cap_v2", "variance_type": "learned_range"}
    return DDPMScheduler(**kind, thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=maximum)


def pipeline(kind: Any, net: Any, maximum: float, **parts: Any) -> Any:
    empty = dict.fromkeys(("tokenizer", "text_encoder", "safety_checker", "feature_extractor", "watermarker"))
    made = kind(**empty, unet=net, scheduler=scheduler(maximum), requires_safety_checker=False, **parts)
    made.set_progress_bar_config(disable=True)
    return made


def drawn(shape: tuple[int, ...], seed: int, *, small: bool = False) -> Iterator[Tensor]:
    """The noise that the engine draws, in the order in which diffusers asks for it."""
    yield initial_noise(shape, seed)
    if small:
        yield torch.randn(shape, generator=torch.Generator().manual_seed(seed + NOISE_SEED_OFFSET))
    source = GaussianNoise(torch.zeros(shape), seed)
    while True:
        yield source(0.0, 0.0)


def reference(made: Any, noises: Iterator[Tensor], **inputs: Any) -> Tensor:
    def next_noise(*_: Any, **__: Any) -> Tensor:
        return next(noises)

    module = type(made).__module__
    with (
        patch(f"{module}.randn_tensor", next_noise),
        patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", next_noise),
    ):
        images: Tensor = made(**SIDES, timesteps=getattr(published, f"{STEPS}_timesteps"), **inputs).images
    return images


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
