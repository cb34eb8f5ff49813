"""Measures how often the exported model draws what a held-out prompt says, through the engine's own code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.sampling import Steps, drive, sample
from engine.tensors.values import Conditioning, Latent
from training.base import Base, load_base
from training.checker import Verdict, check
from training.scenes import SIZE, Pixels, Scene, caption, random_scene

STEPS = Steps(20, "dpmpp_2m", "karras")
CFG = 4.0
SCENE_SEED = 20_000
Steer: TypeAlias = Callable[[Conditioning, Conditioning], tuple[Conditioning, Conditioning]]
SHEET_COLUMNS, SHEET_SCALE = 8, 2


@dataclass(frozen=True, slots=True)
class Picture:
    """A prompt, the picture `(SIZE, SIZE, 3)` drawn for it with `seed`, and what the checker says of it."""

    prompt: str
    seed: int
    pixels: Pixels
    verdict: Verdict


def draw(path: Path, count: int) -> list[Picture]:
    """Draw `count` held-out scenes with the model at `path`, one seed each: 0, 1, 2, ..."""
    base = load_base(path)
    rng = np.random.default_rng(SCENE_SEED)
    scenes = [random_scene(rng, testing=True) for _ in range(count)]
    return [_picture(scene, seed, base) for seed, scene in enumerate(scenes)]


def paint(
    base: Base, prompt: str, seed: int, model: Denoiser | None = None, steer: Steer = lambda *both: both
) -> Pixels:
    """The picture `(SIZE, SIZE, 3)` that the demo model, or `model` made from it, draws for a prompt.

    `steer` may add to what both sides, the prompt's and the empty one's, are conditioned on.
    """
    empty = Latent(torch.zeros(1, 4, SIZE // 8, SIZE // 8), empty=True)
    positive, negative = steer(base.encoder.encode(prompt), base.encoder.encode(""))
    sampling = sample(model or base.model, positive, negative, empty, seed=seed, cfg=CFG, steps=STEPS)
    pixels: Pixels = base.vae.decode(drive(sampling).samples)[0].numpy()
    return pixels


def shares(pictures: list[Picture]) -> dict[str, float]:
    """The share of pictures that have each attribute right, and all of them (`right`)."""
    names = [item.name for item in fields(Verdict)]
    table = {name: float(np.mean([getattr(picture.verdict, name) for picture in pictures])) for name in names}
    return {"right": float(np.mean([picture.verdict.right for picture in pictures]))} | table


def contact_sheet(pictures: list[Picture], path: Path) -> None:
    """The pictures in rows of `SHEET_COLUMNS`, enlarged so that they can be seen."""
    rows = [
        np.concatenate([picture.pixels for picture in pictures[start : start + SHEET_COLUMNS]], axis=1)
        for start in range(0, len(pictures), SHEET_COLUMNS)
    ]
    sheet = Image.fromarray((np.concatenate(rows) * 255).round().astype(np.uint8))
    sheet.resize((sheet.width * SHEET_SCALE, sheet.height * SHEET_SCALE), Image.Resampling.NEAREST).save(path)


def _picture(scene: Scene, seed: int, base: Base) -> Picture:
    prompt = caption(scene)
    pixels = paint(base, prompt, seed)
    return Picture(prompt, seed, pixels, check(pixels, scene))
