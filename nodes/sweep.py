"""A scale of guidance after another, each measured on the same prompts and the same noise."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.diffusion import sampling
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.sampling import Evaluation
from engine.foundation.errors import EaselError
from engine.models.text.encoder import TextEncoder
from engine.models.vae import Vae
from engine.models.vision.score import clip_scores
from engine.models.vision.tower import ImageEncoder
from engine.node import Sampling, Seed, Steps, Text, node
from engine.tensors.plots import Line, Panel, plot
from engine.tensors.statistics import Statistics, frechet_distance, statistics_of
from engine.tensors.values import Conditioning, Image, Latent, Prompt
from nodes.sampling import SamplerName, ScheduleName

LARGEST = 100.0
SCALE = "guidance scale"


class SweepError(EaselError):
    """Prompts or scales that cannot be swept over."""

    code: ClassVar[str] = "bad_sweep"


@dataclass(frozen=True, slots=True, eq=False)
class Swept:
    """What came of one scale: the pictures, how well they fit their prompts, and how far they are from others."""

    scale: float
    pictures: Image
    score: float
    distance: float


@node("GuidanceSweep", category="evaluation", display_name="Guidance Sweep", outputs=["plot", "pictures", "table"])
def sweep_guidance(
    model: Denoiser,
    clip: TextEncoder,
    vae: Vae,
    clip_vision: ImageEncoder,
    reference: Statistics,
    latent_image: Latent,
    seed: Seed,
    prompts: Annotated[str, Text(multiline=True)] = "",
    scales: str = "1, 1.5, 2, 3, 4, 6, 8, 12",
    steps: Steps = 20,
    *,
    sampler_name: SamplerName,
    scheduler: ScheduleName,
) -> Sampling[tuple[Image, Image, str]]:
    """Paint every prompt (a line each) at every scale, and draw the CLIP score and the Fréchet distance by the scale.

    The score says how well pictures fit their prompts, the distance, in the image tower's embeddings, how far they are
    from the reference's: with guidance both rise in the end. The more prompts, the surer the distance. Gives the plot,
    the pictures scale by scale, and the numbers.
    """
    texts, plan = _lines(prompts), sampling.Steps(steps, sampler_name, scheduler)
    positive, negative = _together(clip, texts), clip.encode("")
    latent, values = _each(latent_image, len(texts)), _scales(scales)
    found: list[Swept] = []
    for number, scale in enumerate(values):
        sampler = sampling.sample(model, positive, negative, latent, seed=seed, cfg=scale, steps=plan)
        result = yield from _part(sampler, number, len(values))
        pictures = vae.decode(result.samples)
        score = float(clip_scores(clip, clip_vision, pictures, texts).mean())
        distance = frechet_distance(statistics_of(clip_vision.encode(pictures).embeddings), reference)
        found.append(Swept(scale, pictures, score, distance))
    return plot(_panels(found)), Image(torch.cat([one.pictures for one in found])), _table(found)


def _panels(found: Sequence[Swept]) -> list[Panel]:
    name = f"{len(found[0].pictures)} prompts"
    scores = tuple((one.scale, one.score) for one in found)
    distances = tuple((one.scale, one.distance) for one in found)
    return [
        Panel("CLIP score (higher is better)", SCALE, "score", (Line(name, scores),)),
        Panel("Distance to the reference (lower is better)", SCALE, "distance", (Line(name, distances),)),
    ]


def _table(found: Sequence[Swept]) -> str:
    lines = [f"{'scale':>8}{'CLIP score':>12}{'distance':>12}"]
    return "\n".join([*lines, *(f"{one.scale:>8g}{one.score:>12.2f}{one.distance:>12.4f}" for one in found)])


def _part(
    sampler: Generator[Evaluation, Tensor, Latent], number: int, count: int
) -> Generator[Evaluation, Tensor, Latent]:
    """One of `count` samplings as a part of the whole."""
    try:
        request = next(sampler)
        while True:
            request.step, request.total = request.step + number * request.total, request.total * count
            request = sampler.send((yield request))
    except StopIteration as stop:
        result: Latent = stop.value
        return result


def _together(clip: TextEncoder, texts: Sequence[str]) -> Conditioning:
    """All texts as one conditioning, a row each; shorter ones are filled up as the encoder does."""
    encoded = [prompt for text in texts for prompt in clip.encode(text).prompts[:1]]
    empty = clip.encode("").prompts[0].tokens
    length = max(prompt.tokens.shape[1] for prompt in encoded)

    def whole(prompt: Prompt) -> Tensor:
        missing = (length - prompt.tokens.shape[1]) // empty.shape[1]
        return torch.cat([prompt.tokens, empty.repeat(1, missing, 1)], dim=1)

    pooled = [prompt.pooled for prompt in encoded if prompt.pooled is not None]
    tokens = torch.cat([whole(prompt) for prompt in encoded])
    return Conditioning((replace(encoded[0], tokens=tokens, pooled=torch.cat(pooled) if pooled else None),))


def _each(latent: Latent, count: int) -> Latent:
    """The first sample for each of `count` prompts, each with noise of its own."""
    return replace(latent, samples=latent.samples[:1].repeat(count, 1, 1, 1), noise_mask=None, batch_index=None)


def _lines(prompts: str) -> list[str]:
    lines = [line.strip() for line in prompts.splitlines() if line.strip()]
    if len(lines) < 2:
        raise SweepError(
            "a distance takes several pictures",
            where="input prompts",
            expected="at least 2 lines",
            got=f"{len(lines)}",
        )
    return lines


def _scales(text: str) -> list[float]:
    words = re.findall(r"[^\s,;]+", text)
    try:
        values = sorted({float(word) for word in words})
    except ValueError:
        values = []
    if not values or not all(0 < value <= LARGEST for value in values):
        raise SweepError(
            "these are no scales of guidance",
            where="input scales",
            expected=f"numbers above 0, up to {LARGEST:g}, with commas between them",
            got=text[:80] or "none",
        )
    return values
