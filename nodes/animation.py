"""Batches of pictures as animations: painted along a row of prompts, made smoother, and saved."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from engine.foundation.bounds import within
from engine.node import PLAIN, Choice, Grow, NodeContext, Range, node
from engine.tensors import pictures
from engine.tensors.values import Conditioning, Image, Prompt
from engine.tensors.videos import VideoError, some

CATEGORY = "image/animation"
METHODS = {"default": 4, "fastest": 0, "slowest": 6}

Rate = Annotated[float, Range(0.01, 1000.0, step=0.01)]


@node("SaveAnimatedWEBP", category=CATEGORY, sink=True)
def save_animated_webp(
    images: Image,
    filename_prefix: str = "ComfyUI",
    fps: Rate = 6.0,
    lossless: bool = True,
    quality: Annotated[int, Range(0, 100)] = 80,
    *,
    method: Annotated[str, Choice(*METHODS)],
    ctx: NodeContext = PLAIN,
) -> None:
    """Write pictures to the output folder as one WebP animation, with the prompt and the workflow in it."""
    data = pictures.animated_webp(
        some(images), ctx.metadata, fps, lossless=lossless, quality=quality, method=METHODS[method]
    )
    ctx.save(data, filename_prefix, ".webp", "output", _size(images), animated=len(images) > 1)


@node("SaveAnimatedPNG", category=CATEGORY, sink=True)
def save_animated_png(
    images: Image,
    filename_prefix: str = "ComfyUI",
    fps: Rate = 6.0,
    compress_level: Annotated[int, Range(0, 9)] = 4,
    ctx: NodeContext = PLAIN,
) -> None:
    """Write pictures to the output folder as one animated PNG, with the prompt and the workflow in it."""
    data = pictures.animated_png(some(images), ctx.metadata, fps, compress_level)
    ctx.save(data, filename_prefix, ".png", "output", _size(images), animated=len(images) > 1)


@node("EaselPromptTravel", category="conditioning", display_name="Prompt Travel")
def prompt_travel(
    prompts: Annotated[list[Conditioning], Grow("prompt", 2, 50)], frames: Annotated[int, Range(2, 4096)] = 16
) -> Conditioning:
    """A prompt for each picture of a batch of `frames`: evenly from the first prompt to the last, by way of all others.

    Each prompt is one encoded text.
    """
    within("frames", frames, 2, 4096)
    told = [_only(conditioning, number) for number, conditioning in enumerate(prompts)]
    places = torch.linspace(0, len(told) - 1, frames)
    before = places.long().clamp(max=len(told) - 2)
    share = (places - before).view(-1, 1, 1)
    length = math.lcm(*(prompt.tokens.shape[1] for prompt in told))
    tokens = torch.cat([prompt.tokens[:1].repeat(1, length // prompt.tokens.shape[1], 1) for prompt in told])
    pooled = [prompt.pooled[:1] for prompt in told if prompt.pooled is not None]
    mixed = replace(
        told[0],
        tokens=_between(tokens, before, share),
        pooled=_between(torch.cat(pooled), before, share[..., 0]) if len(pooled) == len(told) else None,
    )
    return Conditioning((mixed,))


@node("EaselInterpolateFrames", category=CATEGORY, display_name="Interpolate Frames")
def interpolate_frames(images: Image, multiplier: Annotated[int, Range(2, 64)] = 2, loop: bool = False) -> Image:
    """Blends between neighbouring frames, `multiplier` - 1 between two; with `loop` also from the last to the first.

    Multiply the frames a second by the same number to keep the pace.
    """
    if len(images) < 2:
        raise VideoError(
            "there is nothing between the frames of a single picture",
            where="input images",
            expected="2 frames or more",
            got=f"{len(images)}",
        )
    count = len(images) * multiplier if loop else (len(images) - 1) * multiplier + 1
    places = torch.arange(count, device=images.device) / multiplier
    before = places.long()
    after = (before + 1) % len(images)
    share = (places - before).view(-1, 1, 1, 1).to(images)
    return Image(torch.lerp(images[before], images[after], share))


def _only(conditioning: Conditioning, number: int) -> Prompt:
    if len(conditioning.prompts) != 1:
        raise VideoError(
            "a step of the way is one prompt",
            where=f"input prompts.prompt{number}",
            expected="one encoded text",
            got=f"{len(conditioning.prompts)} prompts combined",
        )
    return conditioning.prompts[0]


def _between(rows: Tensor, before: Tensor, share: Tensor) -> Tensor:
    """Rows of a tensor and mixtures of neighbours: `share` of the one after the row `before`."""
    return torch.lerp(rows[before], rows[before + 1], share)


def _size(images: Image) -> tuple[int, int]:
    return images.shape[2], images.shape[1]
