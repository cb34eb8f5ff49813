"""Editing with the demo model in full: many prompts, and fits of fifty steps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import Generator

from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import drive, sample
from engine.tensors.metrics import psnr
from engine.tensors.values import Image, Latent
from nodes.custom_sampling import sampler_custom
from nodes.inversion import null_text_inversion
from nodes.prompt_to_prompt import replace_words
from training.base import Base, load_base
from training.checker import Reading, read
from training.evaluate import CFG, STEPS
from training.scenes import COLOURS, SHAPES, caption, random_scene, render

DEMO = Path(__file__).parents[2] / "models" / "checkpoints" / "easel-demo.safetensors"
EMPTY = Latent(torch.zeros(1, 4, 8, 8), empty=True)
NEAR = 4.0  # pixels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base(DEMO)


def other(names: Iterable[str], but: Iterable[str], rng: Generator) -> str:
    return str(rng.choice([name for name in names if name not in but]))


def edits() -> list[tuple[str, str, str, str]]:
    """Source, target, and the colour and shape that the target asks for: ten of each change, without a place."""
    rng, found = np.random.default_rng(5), []
    for number in range(20):
        ground = other(COLOURS, (), rng)
        colour, shape = other(COLOURS, (ground,), rng), other(SHAPES, (), rng)
        new = other(COLOURS, (ground, colour), rng) if number < 10 else colour
        form = shape if number < 10 else other(SHAPES, (shape,), rng)
        texts = (f"a {colour} {shape} on a {ground} background", f"a {new} {form} on a {ground} background")
        found.append((*texts, new, form))
    return found


def readings(base: Base, source: str, target: str, seed: int, share: float) -> list[Reading]:
    shares = {"cross_share": share, "self_share": share / 2}
    edit = replace_words(base.model, base.encoder, EMPTY, source, target, **shares)
    empty = base.encoder.encode("")
    run = sample(edit.model, edit.positive, empty, edit.latent, seed=seed, cfg=CFG, steps=STEPS)
    return [read(picture.numpy()) for picture in base.vae.decode(drive(run).samples)]


def test_things_stay_where_they_are_while_their_word_changes(base: Base) -> None:
    near, changed = {0.8: 0, 0.0: 0}, 0
    for seed, (source, target, colour, shape) in enumerate(edits()):
        for share in near:
            (first, *_), (second, *_) = ((*one.things, None) for one in readings(base, source, target, seed, share))
            if first is not None and second is not None:
                near[share] += bool(np.hypot(first.x - second.x, first.y - second.y) <= NEAR)
                changed += share > 0 and (second.colour, second.shape) == (colour, shape)
    assert near[0.8] >= 15
    assert near[0.8] >= near[0.0] + 5
    assert changed >= 15


def test_null_text_inversion_brings_pictures_back_with_guidance(base: Base) -> None:
    scene = random_scene(np.random.default_rng(77), testing=True)
    latent = Latent(base.vae.encode(Image(torch.from_numpy(render(scene))[None])), downscale=base.vae.downscale)
    positive, negative = base.encoder.encode(caption(scene)), base.encoder.encode("")
    reference, found = base.vae.decode(latent.samples), []
    for iterations in (0, 10):
        noise, fitted, sigmas = drive(
            null_text_inversion(base.model, positive, negative, latent, 50, 7.5, iterations, scheduler="normal")
        )
        again, _ = drive(
            sampler_custom(
                base.model, False, 0, 7.5, positive=positive, negative=fitted, sampler=SAMPLERS["ddim"],
                sigmas=sigmas, latent_image=noise,
            )
        )  # fmt: skip
        found.append(psnr(base.vae.decode(again.samples), reference))
    assert found[1] > 30
    assert found[1] > found[0] + 10
