"""Imagen-style cascades (DeepFloyd IF) on pixels: a small picture from words, and ever larger ones from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch

from engine.diffusion import cascade
from engine.diffusion.cascade import STEP_CHOICES, StageSteps, sample_stage, shown, stage_denoiser
from engine.diffusion.denoiser import Denoiser
from engine.models.cascade import load_stage, load_stage_folder
from engine.models.text.cleaning import cleaned
from engine.models.text.sentencepiece import tokenizer_beside
from engine.models.text.t5 import LENGTH, MOST_TOKENS, T5Encoder, load_t5
from engine.node import PLAIN, Cfg, Choice, Files, Fraction, NodeContext, Range, Sampling, Seed, Steps, Text, node
from engine.tensors.values import Conditioning, Image, Latent, Mask, Pixels, Sigmas
from nodes.sampling import SamplerName

CATEGORY = "cascade"

Side = Annotated[int, Range(8, 16384)]
StepChoice = Annotated[str, Choice(*STEP_CHOICES)]
Scale = Annotated[float, Range(1.0, 16.0, step=0.25)]
NoiseLevel = Annotated[float, Range(0.0, 0.999, step=0.001)]
Percentile = Annotated[float, Range(0.0, 1.0, step=0.001)]
Maximum = Annotated[float, Range(1.0, 100.0, step=0.1)]
Painted = tuple[Pixels, Image]
OUTPUTS = ["pixels", "image"]


@node("CascadeStageLoader", category=CATEGORY, display_name="Load cascade stage")
def load_cascade_stage(stage_name: Annotated[str, Files("diffusion_models")], ctx: NodeContext = PLAIN) -> Denoiser:
    """Load a stage of a cascade from a file of its own: the original's `pytorch_model.bin`, or a UNet of diffusers'."""
    return stage_denoiser(load_stage(ctx.file("diffusion_models", stage_name), ctx.device))


@node("CascadeFolderLoader", category=CATEGORY, display_name="Load cascade stage from a folder")
def load_cascade_folder(model_path: Annotated[str, Files("diffusers")], ctx: NodeContext = PLAIN) -> Denoiser:
    """Load a stage of a cascade from a folder in diffusers' form."""
    return stage_denoiser(load_stage_folder(ctx.file("diffusers", model_path).parent, ctx.device))


@node("T5Loader", category=CATEGORY, display_name="Load T5")
def load_t5_file(t5_name: Annotated[str, Files("text_encoders")], ctx: NodeContext = PLAIN) -> T5Encoder:
    """Load a T5 encoder from a file of its own, or one of several that belong together.

    Its tokenizer (`tokenizer.json` or `spiece.model`) is in a folder called like the file, beside it, or in a folder
    `tokenizer` there.
    """
    path = ctx.file("text_encoders", t5_name)
    return load_t5(path, ctx.device, tokenizer_beside(path))


@node("T5FolderLoader", category=CATEGORY, display_name="Load T5 from a folder")
def load_t5_folder(model_path: Annotated[str, Files("diffusers")], ctx: NodeContext = PLAIN) -> T5Encoder:
    """Load the T5 encoder and the tokenizer of a folder in diffusers' form."""
    folder = ctx.file("diffusers", model_path).parent
    return load_t5(folder / "text_encoder", ctx.device, folder / "tokenizer")


@node("T5TextEncode", category=CATEGORY, display_name="T5 Text Encode")
def encode_t5(
    t5: T5Encoder,
    text: Annotated[str, Text(multiline=True, dynamic_prompts=True)],
    clean_caption: bool = True,
    tokens: Annotated[int, Range(1, MOST_TOKENS)] = LENGTH,
) -> Conditioning:
    """Encode a text with T5. Cleaning takes out what captions of the web hold besides words, as in training."""
    return t5.encode(cleaned(text) if clean_caption else text.lower().strip(), tokens)


@node("EmptyPixelImage", category=CATEGORY, display_name="Empty pixel image")
def empty_pixels(width: Side = 64, height: Side = 64, batch_size: Annotated[int, Range(1, 4096)] = 1) -> Pixels:
    """A canvas to paint pictures on, of the size of the first stage."""
    return Pixels(torch.zeros(batch_size, cascade.CHANNELS, height, width), empty=True)


@node("ImageToPixels", category=CATEGORY, display_name="Image to pixels")
def image_to_pixels(image: Image) -> Pixels:
    """Pictures as the nets of a cascade see them."""
    return Pixels(image[..., :3].movedim(-1, 1) * 2 - 1)


@node("PixelsToImage", category=CATEGORY, display_name="Pixels to image")
def pixels_to_image(pixels: Pixels) -> Image:
    """Pictures as everybody else sees them."""
    return Image((pixels.samples.movedim(1, -1) / 2 + 0.5).clamp(0, 1))


@node("CascadeSample", category=CATEGORY, display_name="Cascade sample", outputs=OUTPUTS)
def cascade_sample(
    stage: Denoiser,
    positive: Conditioning,
    negative: Conditioning,
    pixels: Pixels,
    seed: Seed = 0,
    cfg: Cfg = 7.0,
    sampler_name: SamplerName = "ddpm",
    schedule: StepChoice = "smart100",
    steps: Steps = 50,
    denoise: Fraction = 1.0,
    percentile: Percentile = 0.95,
    maximum: Maximum = 1.5,
    mask: Mask | None = None,
) -> Sampling[Painted]:
    """Paint with the first stage of a cascade.

    `steps` count for schedules that leave them open. A `denoise` below 1 changes a picture instead of painting one on
    an empty canvas; a `mask` says where. Colours are cut at their quantile `percentile`, but no further than `maximum`.
    """
    plan = StageSteps(schedule, steps, sampler_name, denoise, percentile, maximum)
    canvas = pixels if mask is None else replace(pixels, noise_mask=mask)
    painted = yield from sample_stage(stage, positive, negative, canvas, seed=seed, cfg=cfg, steps=plan)
    return painted, pixels_to_image(painted)


@node("CascadeSuperResolve", category=CATEGORY, display_name="Cascade super-resolve", outputs=OUTPUTS)
def super_resolve(
    stage: Denoiser,
    positive: Conditioning,
    negative: Conditioning,
    pixels: Pixels,
    scale: Scale = 4.0,
    noise_level: NoiseLevel = 0.25,
    seed: Seed = 0,
    cfg: Cfg = 4.0,
    sampler_name: SamplerName = "ddpm",
    schedule: StepChoice = "smart50",
    steps: Steps = 50,
    denoise: Fraction = 1.0,
    percentile: Percentile = 0.95,
    maximum: Maximum = 1.0,
    start: Pixels | None = None,
    mask: Mask | None = None,
) -> Sampling[Painted]:
    """Paint the picture anew, `scale` times as large, with a later stage of a cascade.

    The small picture is given noise of `noise_level` first: more lets the stage invent more. With `start`, a large
    picture, a `denoise` below 1 changes that one instead, and a `mask` says where; its size is then the result's.
    """
    plan = StageSteps(schedule, steps, sampler_name, denoise, percentile, maximum)
    canvas = _canvas(pixels, scale) if start is None else start
    canvas = canvas if mask is None else replace(canvas, noise_mask=mask)
    sides = (positive, negative)
    painted = yield from sample_stage(
        stage, *sides, canvas, seed=seed, cfg=cfg, steps=plan, small=pixels, noise_level=noise_level
    )
    return painted, pixels_to_image(painted)


@node("CascadeSchedule", category=CATEGORY, display_name="Cascade schedule")
def cascade_schedule(
    stage: Denoiser, schedule: StepChoice = "smart100", steps: Steps = 50, denoise: Fraction = 1.0
) -> Sigmas:
    """The sigmas of published or evenly spaced timesteps, of which the last share `denoise` is kept."""
    return Sigmas(torch.tensor(StageSteps(schedule, steps, denoise=denoise).sigmas(stage.levels), dtype=torch.float64))


@node("CascadeUpscaleConditioning", category=CATEGORY, outputs=["positive", "negative", "latent"])
def upscale_conditioning(
    positive: Conditioning,
    negative: Conditioning,
    pixels: Pixels,
    scale: Scale = 4.0,
    noise_level: NoiseLevel = 0.25,
) -> tuple[Conditioning, Conditioning, Latent]:
    """Show a later stage the small picture that it enlarges, for sampling from parts."""
    positive, negative = (shown(side, pixels, noise_level) for side in (positive, negative))
    return positive, negative, _canvas(pixels, scale).latent


def _canvas(small: Pixels, scale: float) -> Pixels:
    """An empty canvas `scale` times as large as a small picture."""
    height, width = (max(1, round(side * scale)) for side in small.samples.shape[-2:])
    return Pixels(small.samples.new_zeros(len(small.samples), cascade.CHANNELS, height, width), empty=True)
