"""A picture led to its noise and back, by the demo model."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.inversion import Slope, Stride
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import drive
from engine.tensors.metrics import psnr
from engine.tensors.values import Conditioning, Image, Latent, Sigmas
from nodes.custom_sampling import sampler_custom
from nodes.inversion import ddim_inversion, null_text_inversion
from tests.unit.diffusion.nets import noise
from training.adapters import with_lora
from training.base import Base, load_base
from training.scenes import Scene, Thing, caption, render

MODELS = Path(__file__).parents[3] / "models"
SCENE = Scene("yellow", (Thing("heart", "purple", "large", 0.5, 0.5),), place="in the centre")
SEEN = Image(torch.from_numpy(render(SCENE))[None])


@cache
def base() -> Base:
    return load_base(MODELS / "checkpoints" / "easel-demo.safetensors")


def latent() -> Latent:
    return Latent(base().vae.encode(SEEN), downscale=base().vae.downscale)


def painted(found: Latent, sigmas: Sigmas, negative: Conditioning, cfg: float) -> Image:
    result, _ = drive(
        sampler_custom(
            base().model, False, 0, cfg, positive=base().encoder.encode(caption(SCENE)), negative=negative,
            sampler=SAMPLERS["ddim"], sigmas=sigmas, latent_image=found,
        )
    )  # fmt: skip
    return base().vae.decode(result.samples)


def test_fifty_steps_up_and_down_bring_the_picture_back() -> None:
    positive, there = base().encoder.encode(caption(SCENE)), latent()
    found, sigmas = drive(ddim_inversion(base().model, positive, there, 50, scheduler="normal"))
    back = painted(found, sigmas, positive, 1.0)
    assert psnr(back, SEEN) > 30
    assert psnr(back, base().vae.decode(there.samples)) > 40
    spread = base().model.latents.scaled(found.samples).std() / sigmas[0]
    assert 0.85 < float(spread) < 1.1


def test_fitted_negatives_bring_it_back_with_guidance() -> None:
    positive, negative = base().encoder.encode(caption(SCENE)), base().encoder.encode("")
    given = {"steps": 6, "cfg": 7.5, "scheduler": "karras", "corrections": 2}
    plain, fitted = (
        drive(null_text_inversion(base().model, positive, negative, latent(), iterations=count, rate=0.05, **given))
        for count in (0, 5)
    )
    reference = base().vae.decode(latent().samples)
    alone, better = (psnr(painted(found, sigmas, side, 7.5), reference) for found, side, sigmas in (plain, fitted))
    assert better > alone + 3


def test_fits_go_through_weights_that_an_adapter_changed() -> None:
    changed = with_lora(base(), MODELS / "loras" / "easel-demo-outlines.safetensors")
    from_plain, from_changed = (_slope(model) for model in (base().model, changed))
    assert np.isfinite(from_changed.numpy()).all()
    assert not torch.allclose(from_plain, from_changed)


def _slope(model: Denoiser) -> torch.Tensor:
    x = noise(1, 4, 16, 16) * 5
    stride = Stride(x, noise(1, 4, 16, 16, seed=1), noise(1, 4, 16, 16, seed=2), 7.5, 5.0, 3.0, 0.5)
    return Slope(model, base().encoder.encode("").prompts[0], stride, 0, 1).compute()
