"""Samplers compared: how fast each comes near to what it would paint with steps without end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch

from engine.diffusion import sampling
from engine.diffusion.comparison import Attempt, Measured, Sampled, measured
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.samplers import SAMPLERS
from engine.foundation.errors import EaselError
from engine.models.vae import Vae
from engine.node import Cfg, Range, Sampling, Seed, node
from engine.tensors.metrics import psnr, ssim
from engine.tensors.plots import Line, Panel, plot
from engine.tensors.values import Conditioning, Image, Latent
from nodes.sampling import SamplerName, ScheduleName

MOST_STEPS = 1000
STEPS = "steps"


class ComparisonError(EaselError):
    """Samplers or numbers of steps that cannot be compared."""

    code: ClassVar[str] = "bad_comparison"


@node(
    "SamplerComparison",
    category="sampling",
    display_name="Sampler Comparison",
    outputs=["plot", "pictures", "table"],
)
def compare_samplers(
    model: Denoiser,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    vae: Vae,
    seed: Seed,
    cfg: Cfg = 4.0,
    samplers: str = "euler, heun, dpmpp_2m, uni_pc",
    steps: str = "2, 4, 8, 16, 32",
    *,
    scheduler: ScheduleName,
    reference_sampler: SamplerName,
    reference_steps: Annotated[int, Range(1, MOST_STEPS)] = 100,
) -> Sampling[tuple[Image, Image, str]]:
    """Sample with each sampler at each number of steps, and draw how near the pictures come to a reference.

    The reference is one sampler with many steps from the same noise. Samplers without noise of their own come ever
    nearer to it; those with, to a picture of their own. Times are the median of an evaluation of the guided net, with
    whatever else ran beside it. Gives the plot, the pictures (the reference first), and the numbers as a table.
    """
    attempts = [Attempt(name, count) for name in _names(samplers) for count in _counts(steps)]

    def start(attempt: Attempt) -> Sampled:
        plan = sampling.Steps(attempt.steps, attempt.sampler, scheduler)
        return sampling.sample(model, positive, negative, latent_image, seed=seed, cfg=cfg, steps=plan)

    results = yield from measured([Attempt(reference_sampler, reference_steps), *attempts], start)
    pictures = [vae.decode(result.latent.samples) for result in results]
    near = [(psnr(picture, pictures[0]), ssim(picture, pictures[0])) for picture in pictures[1:]]
    rows = list(zip(results[1:], near, strict=True))
    title = f"{reference_sampler}, {reference_steps} steps, {scheduler}"
    return plot(_panels(rows, title)), Image(torch.cat(list(pictures))), _table(rows)


Row = tuple[Measured, tuple[float, float]]


def _panels(rows: Sequence[Row], reference: str) -> list[Panel]:
    names = list(dict.fromkeys(result.attempt.sampler for result, _ in rows))
    of = partial(_lines, rows, names)
    times = {name: [r.seconds for r, _ in rows if r.attempt.sampler == name] for name in names}
    bars = tuple(Line(name, ((1.0, 1000 * sorted(values)[len(values) // 2]),)) for name, values in times.items())
    return [
        Panel(f"PSNR to {reference}", STEPS, "dB", of(over_steps=True, metric=0)),
        Panel("SSIM to the same", STEPS, "SSIM", of(over_steps=True, metric=1)),
        Panel("PSNR by evaluations of the net", "evaluations", "dB", of(over_steps=False, metric=0)),
        Panel("Time of an evaluation", "", "ms", bars, bars=True),
    ]


def _lines(rows: Sequence[Row], names: Sequence[str], *, over_steps: bool, metric: int) -> tuple[Line, ...]:
    def points(name: str) -> tuple[tuple[float, float], ...]:
        own = [row for row in rows if row[0].attempt.sampler == name]
        return tuple((float(r.attempt.steps if over_steps else r.evaluations), near[metric]) for r, near in own)

    return tuple(Line(name, points(name)) for name in names)


def _table(rows: Sequence[Row]) -> str:
    lines = [f"{'sampler':<24}{'steps':>6}{'evals':>7}{'PSNR dB':>9}{'SSIM':>8}{'ms/eval':>9}"]
    lines += [
        f"{r.attempt.sampler:<24}{r.attempt.steps:>6}{r.evaluations:>7}{near[0]:>9.2f}{near[1]:>8.4f}"
        f"{1000 * r.seconds:>9.2f}"
        for r, near in rows
    ]
    return "\n".join(lines)


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(re.findall(r"[^\s,;]+", text)))
    unknown = [name for name in names if name not in SAMPLERS]
    if unknown or not names:
        raise ComparisonError(
            "there is no such sampler" if unknown else "there is nothing to compare",
            where="input samplers",
            expected=f"some of {', '.join(SAMPLERS)}",
            got=", ".join(unknown) or "no name",
        )
    return names


def _counts(text: str) -> list[int]:
    words = re.findall(r"[^\s,;]+", text)
    wrong = [word for word in words if not (word.isdecimal() and 1 <= int(word) <= MOST_STEPS)]
    if wrong or not words:
        raise ComparisonError(
            "these are no numbers of steps",
            where="input steps",
            expected=f"whole numbers from 1 to {MOST_STEPS} with commas between them",
            got=", ".join(wrong) or "none",
        )
    return sorted({int(word) for word in words})
