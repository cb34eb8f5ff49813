"""Measures how often the exported model draws what a held-out prompt says, through the engine's own code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.models.checkpoint import load_checkpoint
from engine.models.text.encoder import TextEncoder
from engine.models.vae import Vae
from engine.tensors.values import Latent
from training.checker import Verdict, check
from training.scenes import SIZE, Pixels, Scene, caption, random_scene

STEPS = Steps(20, "dpmpp_2m", "karras")
CFG = 4.0
SCENE_SEED = 20_000
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
    checkpoint = load_checkpoint(path, torch.device("cpu"))
    assert checkpoint.text_encoder is not None
    assert checkpoint.vae is not None
    model = denoiser_of(checkpoint)
    rng = np.random.default_rng(SCENE_SEED)
    scenes = [random_scene(rng, testing=True) for _ in range(count)]
    return [_picture(scene, seed, model, checkpoint.text_encoder, checkpoint.vae) for seed, scene in enumerate(scenes)]


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


def _picture(scene: Scene, seed: int, model: Denoiser, encoder: TextEncoder, vae: Vae) -> Picture:
    prompt = caption(scene)
    empty = Latent(torch.zeros(1, 4, SIZE // 8, SIZE // 8), empty=True)
    sampling = sample(model, encoder.encode(prompt), encoder.encode(""), empty, seed=seed, cfg=CFG, steps=STEPS)
    pixels = vae.decode(drive(sampling).samples)[0].numpy()
    return Picture(prompt, seed, pixels, check(pixels, scene))
