"""Whole runs of the transformer nets through files of either layout, against diffusers' own pipelines."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DiTPipeline,
    DPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
)
from diffusers.schedulers import scheduling_ddpm
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.combining import CLASSIFIER_FREE
from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.guidance import ClassifierFreeGuidance
from engine.diffusion.respacing import at_timesteps, spaced
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import Steps, drive, sample, sample_custom
from engine.models.checkpoint import Checkpoint
from engine.models.text.captions import load_captions
from engine.models.text.sentencepiece import END, T5Tokenizer
from engine.models.transformer_folder import load_transformer_folder
from engine.models.transformers import load_transformer
from engine.tensors.noise import GaussianNoise
from engine.tensors.values import Conditioning, Latent, Prompt
from nodes.transformers import class_label, encode_pixart_alpha, imagenet_label
from tests.oracles import sd1, transformers
from tests.oracles.uvit import uvit_state
from tests.unit.models.test_t5 import SPIECE, tied
from tests.unit.models.test_t5 import oracle as t5_oracle

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # diffusers' own

CPU = torch.device("cpu")
SEED, STEPS, CFG, LABEL = 5, 20, 4.0, 207
PROMPT = "A photo of a large red circle"
SIDE = 4  # tokens along a side of the tiny nets' pictures
EMPTY = Latent(torch.zeros(2, 4, 2 * SIDE, 2 * SIDE), empty=True)
BETAS: dict[str, Any] = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


class ClassSystem:
    """A DiT with its autoencoder, as diffusers has them and as a file in the original layout."""

    def __init__(self) -> None:
        self.net, self.vae = transformers.dit(side=SIDE), sd1.autoencoder((32, 64), 1)
        self.state = transformers.dit_state(self.net)

    def loaded(self, folder: Path) -> Checkpoint:
        path = folder / "DiT-XL-2-256x256.safetensors"
        save_file({name: weight.contiguous() for name, weight in self.state.items()}, path)
        return load_transformer(path, CPU)


@pytest.fixture(scope="module")
def system() -> ClassSystem:
    return ClassSystem()


@pytest.fixture(scope="module")
def checkpoint(system: ClassSystem, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return system.loaded(tmp_path_factory.mktemp("dit"))


def run(model: Denoiser, positive: Conditioning, negative: Conditioning) -> Tensor:
    steps = Steps(STEPS, "ddim", "simple")
    empty = replace(EMPTY, downscale=model.latents.downscale)
    latent = drive(sample(model, positive, negative, empty, seed=SEED, cfg=CFG, steps=steps))
    return model.latents.scaled(latent.samples)


def noise() -> Tensor:
    return torch.randn(EMPTY.samples.shape, generator=torch.Generator().manual_seed(SEED))


def sides() -> tuple[Conditioning, Conditioning]:
    return imagenet_label("golden retriever (207)"), imagenet_label("none")


def assert_same(own: Tensor, expected: Tensor) -> None:
    """Equal to 1e-4 at a deviation of 1: what random nets paint has one of some hundred."""
    scale = expected.std()
    torch.testing.assert_close(own / scale, expected / scale, rtol=0, atol=1e-4)


def guided(net: Any, x: Tensor, timestep: Any, channels: int) -> Tensor:
    """What the original's sampler is given: guidance in the first channels, the rest of the class alone."""
    labels = torch.tensor([LABEL] * len(x) + [1000] * len(x))
    both = net(torch.cat([x, x]), timestep=torch.full((2 * len(x),), int(timestep)), class_labels=labels).sample
    positive, negative = both.chunk(2)
    mixed = negative + CFG * (positive - negative)
    return torch.cat([mixed[:, :channels], positive[:, channels:]], dim=1)


@torch.no_grad()
def test_dit_with_ddim_equals_the_pipeline(system: ClassSystem, checkpoint: Checkpoint) -> None:
    timing = DDIMScheduler(clip_sample=False, timestep_spacing="trailing", **BETAS)
    pipeline = DiTPipeline(system.net, system.vae, timing)
    pipeline.set_progress_bar_config(disable=True)
    (expected,) = pipeline(
        [LABEL, LABEL], CFG, torch.Generator().manual_seed(SEED), STEPS, output_type="pt", return_dict=False
    )
    model = replace(denoiser_of(checkpoint), guidance=CLASSIFIER_FREE)  # diffusers guides every channel
    own = (system.vae.decode(run(model, *sides()) / 0.18215).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("channels", [3, 4])
def test_dit_is_guided_in_the_channels_that_are_asked_for(
    system: ClassSystem, checkpoint: Checkpoint, channels: int
) -> None:
    timing = DDIMScheduler(clip_sample=False, timestep_spacing="trailing", **BETAS)
    timing.set_timesteps(STEPS)
    x = noise()
    for timestep in timing.timesteps:
        x = timing.step(guided(system.net, x, timestep, channels)[:, :4], timestep, x).prev_sample
    model = denoiser_of(checkpoint)
    own = run(model if channels == 3 else replace(model, guidance=CLASSIFIER_FREE), *sides())
    assert_same(own, x)


def test_a_folder_of_diffusers_paints_what_the_original_file_paints(
    system: ClassSystem, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    timing = DDIMScheduler(clip_sample=False, **BETAS)
    DiTPipeline(system.net, system.vae, timing).save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text("utf-8"))
    labelled = {**index, "id2label": {"7": "kite, hawk"}}  # as in the published folders
    (tmp_path / "model_index.json").write_text(json.dumps(labelled), "utf-8")
    loaded, _ = load_transformer_folder(tmp_path, CPU)
    assert loaded.vae is not None
    model = denoiser_of(loaded)
    assert_same(run(model, *sides()), run(denoiser_of(checkpoint), *sides()))
    assert class_label(model, "hawk").prompts[0].extras.label == 7


@torch.no_grad()
def test_dit_with_ddpm_takes_the_variance_that_it_learned(system: ClassSystem, checkpoint: Checkpoint) -> None:
    """At the original's timesteps: even ones with both ends."""
    timing: Any = DDPMScheduler(clip_sample=False, variance_type="learned_range", **BETAS)
    timing.set_timesteps(timesteps=spaced(STEPS, "linspace"))
    x = noise()
    fresh = GaussianNoise(x, SEED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduling_ddpm, "randn_tensor", lambda *_args, **_options: fresh(1.0, 0.5))
        for timestep in timing.timesteps:
            x = timing.step(guided(system.net, x, timestep, 3), timestep, x).prev_sample
    model = denoiser_of(checkpoint)
    guider = ClassifierFreeGuidance(model, *sides(), CFG)
    sigmas = at_timesteps(model.levels, timing.timesteps.tolist())
    latent, _ = drive(sample_custom(guider, SAMPLERS["ddpm"], sigmas, EMPTY, seed=SEED))
    assert_same(model.latents.scaled(latent.samples), x)


class TextSystem:
    """A PixArt net with its autoencoder and a tiny T5, as diffusers has them and as an original file and a T5 file."""

    def __init__(self, *, alpha: bool) -> None:
        self.net = transformers.pixart(side=64, scale=2.0, context=32, sizes=alpha)  # as the nets for 1024 pixels
        self.vae, self.text = sd1.autoencoder((32, 64), 1), t5_oracle()
        self.tokens = 120 if alpha else 300
        self.vae.register_to_config(scaling_factor=0.18215 if alpha else 0.13025)

    def saved(self, folder: Path) -> Path:
        state = transformers.pixart_state(self.net, self.tokens)
        save_file({name: weight.contiguous() for name, weight in state.items()}, folder / "PixArt.safetensors")
        save_file(tied(self.text), folder / "t5.safetensors")
        shutil.copy(SPIECE, folder / "spiece.model")
        return folder

    def embedded(self, text: str) -> tuple[Tensor, Tensor]:
        """Padded to the length of the family, with its mask."""
        ids = [*T5Tokenizer.read(SPIECE).encode(text.lower()), END]
        row, mask = (torch.zeros(1, self.tokens, dtype=torch.long) for _ in range(2))
        row[0, : len(ids)], mask[0, : len(ids)] = torch.tensor(ids), 1
        return self.text(input_ids=row, attention_mask=mask)[0], mask

    def painted(self, timing: Any) -> Tensor:
        """The picture of diffusers' pipeline."""
        kind = PixArtAlphaPipeline if self.tokens == 120 else PixArtSigmaPipeline
        pipeline = kind(None, None, self.vae, self.net, timing)
        pipeline.set_progress_bar_config(disable=True)
        (positive, mask), (negative, negative_mask) = self.embedded(PROMPT), self.embedded("")
        pictures: Tensor = pipeline(
            prompt_embeds=positive, prompt_attention_mask=mask, negative_prompt=None, negative_prompt_embeds=negative,
            negative_prompt_attention_mask=negative_mask, guidance_scale=CFG, num_inference_steps=STEPS, height=16,
            width=24, generator=torch.Generator().manual_seed(SEED), use_resolution_binning=False, output_type="pt",
        ).images  # fmt: skip
        return pictures


@torch.no_grad()
@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
@pytest.mark.parametrize("alpha", [True, False])
def test_pixart_equals_the_pipeline(alpha: bool, sampler: str, tmp_path: Path) -> None:
    system = TextSystem(alpha=alpha)
    solver = DPMSolverMultistepScheduler(**BETAS)
    timing = DDIMScheduler(clip_sample=False, timestep_spacing="trailing", **BETAS) if sampler == "ddim" else solver
    expected = system.painted(timing)
    folder = system.saved(tmp_path)
    model, clip = (
        denoiser_of(load_transformer(folder / "PixArt.safetensors", CPU)),
        load_captions(folder / "t5.safetensors", CPU),
    )
    positive, negative = (encode_pixart_alpha(24, 16, text=text, clip=clip) for text in (PROMPT, ""))
    sigmas = at_timesteps(model.levels, timing.timesteps.tolist())
    empty = Latent(torch.zeros(1, 4, 8, 12), downscale=model.latents.downscale)
    guider = ClassifierFreeGuidance(model, positive, negative, CFG)
    latent, _ = drive(sample_custom(guider, SAMPLERS[sampler], sigmas, empty, seed=SEED))
    own = (system.vae.decode(latent.samples).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_runs_a_transformer(checkpoint: Checkpoint, name: str) -> None:
    steps, model = Steps(3, name, "karras"), denoiser_of(checkpoint)
    latent = drive(sample(model, *sides(), EMPTY, seed=SEED, cfg=CFG, steps=steps))
    assert latent.samples.isfinite().all()
    assert latent.samples.shape[:2] == (2, 4)


@pytest.mark.parametrize("options", [{"classes": 1001}, {"context": 48}])
def test_a_u_vit_is_sampled_from_its_file(options: dict[str, int], tmp_path: Path) -> None:
    save_file(uvit_state(side=SIDE, **options), tmp_path / "uvit.safetensors")
    model = denoiser_of(load_transformer(tmp_path / "uvit.safetensors", CPU))
    positive, negative = sides()
    if "context" in options:
        positive, negative = (words(77, seed) for seed in (1, 2))
    assert run(model, positive, negative).isfinite().all()


def words(length: int, seed: int, width: int = 48) -> Conditioning:
    return Conditioning((Prompt(torch.randn(1, length, width, generator=torch.Generator().manual_seed(seed))),))
