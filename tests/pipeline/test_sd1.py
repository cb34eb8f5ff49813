"""Whole runs equal a pipeline composed of diffusers' and transformers' parts, with the same noise, within 1e-4."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.models.checkpoint import Checkpoint, load_checkpoint
from engine.models.text.tokenizer import ClipTokenizer
from engine.tensors.values import Latent
from tests.oracles import sd1

PROMPT, NEGATIVE = "a red circle above a blue star", "blurry"
SEED, CFG, SCALE = 5, 6.0, 0.18215
DOWNSCALE = 2  # of the tiny autoencoder


class Reference:
    """The tiny nets, driven by diffusers' Euler scheduler."""

    def __init__(self) -> None:
        self.unet, self.vae = sd1.unet((32, 64, 64), 1, 128), sd1.autoencoder((32, 64), 1)
        self.text = sd1.text_encoder(128, 3)
        self.state = sd1.checkpoint_state(self.unet, self.vae, self.text)

    @torch.no_grad()
    def tokens(self, prompt: str) -> Tensor:
        ids = [49406, *ClipTokenizer.load().encode(prompt)]
        states: Tensor = self.text(input_ids=torch.tensor([ids + [49407] * (77 - len(ids))])).last_hidden_state
        return states

    @torch.no_grad()
    def denoise(self, x: Tensor, timestep: float) -> Tensor:
        """Guided epsilon for scaled-down latents."""
        context = torch.cat([self.tokens(NEGATIVE), self.tokens(PROMPT)])
        negative, positive = self.unet(torch.cat([x, x]), timestep, context).sample.chunk(2)
        epsilon: Tensor = negative + CFG * (positive - negative)
        return epsilon

    def sample(self, x: Tensor, scheduler: Any, blend: Any = None) -> Tensor:
        begin = scheduler.begin_index or 0
        for timestep in scheduler.timesteps[begin:]:
            sigma = float(scheduler.sigmas[scheduler.step_index or begin])
            if blend is not None:
                x = blend(x, sigma)
            epsilon = self.denoise(scheduler.scale_model_input(x, timestep), timestep)
            x = scheduler.step(epsilon, timestep, x).prev_sample
        return x

    @torch.no_grad()
    def decode(self, x: Tensor) -> Tensor:
        picture: Tensor = self.vae.decode(x / SCALE).sample
        return (picture / 2 + 0.5).clamp(0, 1).movedim(1, -1)

    @torch.no_grad()
    def encode(self, picture: Tensor) -> Tensor:
        latent: Tensor = self.vae.encode(picture.movedim(-1, 1) * 2 - 1).latent_dist.mode() * SCALE
        return latent


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


@pytest.fixture(scope="module")
def checkpoint(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path: Path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_file({name: weight.contiguous() for name, weight in reference.state.items()}, path)
    return load_checkpoint(path, torch.device("cpu"))


def scheduler(steps: int) -> Any:
    made: Any = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    made.set_timesteps(steps)
    return made


def run(checkpoint: Checkpoint, latent: Latent, steps: Steps) -> Tensor:
    """The picture of our own pipeline."""
    assert checkpoint.text_encoder is not None
    assert checkpoint.vae is not None
    positive, negative = (checkpoint.text_encoder.encode(text) for text in (PROMPT, NEGATIVE))
    model = denoiser_of(checkpoint)
    return checkpoint.vae.decode(
        drive(sample(model, positive, negative, latent, seed=SEED, cfg=CFG, steps=steps)).samples
    )


def noise(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED))


def picture() -> Tensor:
    return torch.rand(1, 16, 16, 3, generator=torch.Generator().manual_seed(9))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, with this numpy
def test_text_to_image(reference: Reference, checkpoint: Checkpoint) -> None:
    timing = scheduler(20)
    x = noise((1, 4, 8, 8)) * math.sqrt(1 + float(timing.sigmas[0]) ** 2)
    expected = reference.decode(reference.sample(x, timing))
    empty = Latent(torch.zeros(1, 4, 2, 2), empty=True, downscale=8)
    assert torch.allclose(run(checkpoint, empty, Steps(20, "euler", "simple")), expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, with this numpy
def test_image_to_image(reference: Reference, checkpoint: Checkpoint) -> None:
    assert checkpoint.vae is not None
    timing = scheduler(20)
    timing.set_begin_index(10)
    start = reference.encode(picture())
    x = start + noise((1, 4, 8, 8)) * float(timing.sigmas[10])
    expected = reference.decode(reference.sample(x, timing))
    latent = Latent(checkpoint.vae.encode(picture()), downscale=DOWNSCALE)
    own = run(checkpoint, latent, Steps(10, "euler", "simple", denoise=0.5))
    assert torch.allclose(own, expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, with this numpy
def test_inpainting(reference: Reference, checkpoint: Checkpoint) -> None:
    """The kept part is put under its own noise before each evaluation, and taken as it was after the last."""
    assert checkpoint.vae is not None
    timing = scheduler(20)
    kept, fresh = reference.encode(picture()), noise((1, 4, 8, 8))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1
    x = kept + fresh * math.sqrt(1 + float(timing.sigmas[0]) ** 2)
    for timestep, sigma, sigma_next in zip(timing.timesteps, timing.sigmas[:-1], timing.sigmas[1:], strict=True):
        seen = x * mask + (kept + sigma * fresh) * (1 - mask)
        denoised = seen - sigma * reference.denoise(seen / math.sqrt(1 + float(sigma) ** 2), timestep)
        denoised = denoised * mask + kept * (1 - mask)
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    latent = Latent(checkpoint.vae.encode(picture()), noise_mask=mask[:, 0], downscale=DOWNSCALE)
    own = run(checkpoint, latent, Steps(20, "euler", "simple"))
    assert torch.allclose(own, reference.decode(x), atol=1e-4)


def test_the_kept_part_of_an_inpainted_latent_is_exactly_as_it_was(checkpoint: Checkpoint) -> None:
    assert checkpoint.vae is not None
    assert checkpoint.text_encoder is not None
    before = checkpoint.vae.encode(picture())
    mask = torch.zeros(1, 8, 8)
    mask[..., 4:] = 1
    prompt = checkpoint.text_encoder.encode(PROMPT)
    latent = Latent(before, noise_mask=mask, downscale=DOWNSCALE)
    steps = Steps(5, "dpmpp_2m", "karras")
    after = drive(sample(denoiser_of(checkpoint), prompt, prompt, latent, seed=1, cfg=1.0, steps=steps)).samples
    assert torch.allclose(after[..., :4], before[..., :4], atol=1e-5)
    assert not torch.allclose(after[..., 4:], before[..., 4:], atol=1e-2)
