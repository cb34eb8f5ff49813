"""Whole runs of Stable Video Diffusion through its file in the original layout, against diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.models.checkpoint import load_checkpoint
from engine.models.vision.tower import load_image_encoder
from engine.tensors.values import Image
from nodes.guidance import video_linear_guidance
from nodes.video import video_conditioning
from tests.oracles.video import VideoSystem

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # diffusers' own

CPU = torch.device("cpu")
SEED, STEPS, FRAMES, SIDE = 5, 20, 4, 32
MOTION = {"fps": 7, "motion_bucket_id": 90}


@pytest.fixture(scope="module")
def system() -> VideoSystem:
    return VideoSystem()


@pytest.fixture(scope="module")
def path(system: VideoSystem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return system.save(tmp_path_factory.mktemp("svd"))


def still() -> Tensor:
    return torch.randint(0, 256, (1, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(9)) / 255


def expected(system: VideoSystem, latents: Tensor, **options: Any) -> Tensor:
    """What diffusers' pipeline makes, `(F, H, W, 3)`."""
    pipeline = system.pipeline(STEPS)
    made = pipeline(
        still().movedim(-1, 1), height=SIDE, width=SIDE, num_frames=FRAMES, num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(0), latents=latents, output_type="pt", **MOTION, **options,
    )  # fmt: skip
    return made.frames[0].movedim(1, -1)


def made(path: Path, model: Denoiser | None = None, cfg: float = 3.0) -> Tensor:
    checkpoint = load_checkpoint(path, CPU)
    vae, encoder = checkpoint.vae, load_image_encoder(path, CPU)
    assert vae is not None
    sides = video_conditioning(
        encoder, Image(still()), vae, SIDE, SIDE, FRAMES, MOTION["motion_bucket_id"], MOTION["fps"], 0.1
    )
    model = model or video_linear_guidance(denoiser_of(checkpoint), 1.0)
    latent = drive(sample(model, *sides, seed=SEED, cfg=cfg, steps=Steps(STEPS, "euler", "karras")))
    return vae.decode(latent.samples)


def test_a_whole_run_makes_the_video_that_diffusers_makes(system: VideoSystem, path: Path) -> None:
    noise = torch.randn(FRAMES, 4, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(SEED))
    theirs = expected(system, noise[None], noise_aug_strength=0.1, min_guidance_scale=1.0, max_guidance_scale=3.0)
    assert theirs.std() > 0.05
    assert (theirs[0] - theirs[-1]).abs().max() > 0.05
    assert (made(path) - theirs).abs().max() < 1e-4
