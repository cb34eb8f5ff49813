"""Measures what the demo's adapters do, with their files, through the engine's own code, on held-out scenes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from engine.diffusion.denoiser import Denoiser
from engine.models.adapters.reading import read_adapter
from engine.models.control.reading import load_control
from engine.models.text.embeddings import read_embedding
from engine.tensors.values import Image
from nodes.control import apply_control_advanced
from training.base import Base, load_base
from training.checker import check, furthest_off
from training.control import edges, placed_scene
from training.evaluate import Picture, paint
from training.inversion import WORD, novel_scene
from training.lora import outlined
from training.scenes import NOVEL, OUTLINED, SHAPES, caption, random_scene

NEAR = 4.0  # pixels
SCENE_SEED = 40_000  # not that of `evaluate`, whose prompts were looked at while the adapters were made
WORD_SCENE_SEED = 50_000  # the word was measured with the seed above, too, before it was trained for longer


def with_lora(base: Base, path: Path, strength: float = 1.0) -> Denoiser:
    """The demo model changed by the LoRA at `path`."""
    with base.model.net.lease() as unet:
        fitted = base.model.changed.fit(read_adapter(path), unet)
    return base.model.with_adapter(fitted, strength)


def draw_lora(model: Path, path: Path, count: int) -> list[Picture]:
    """Draw `count` prompts with the LoRA; right is what is outlined and otherwise as the prompt says.

    All outlines have one size, so the prompt's does not count.
    """
    base, pictures = load_base(model), []
    changed, rng = with_lora(base, path), np.random.default_rng(SCENE_SEED)
    for seed in range(count):
        scene = random_scene(rng, testing=True)
        pixels = paint(base, caption(scene), seed, changed)
        verdict = check(pixels, outlined(scene), (*SHAPES, *OUTLINED))
        pictures.append(Picture(caption(scene), seed, pixels, verdict))
    return pictures


def draw_inversion(model: Path, path: Path, count: int) -> list[Picture]:
    """Draw `count` prompts with the new word in them; right is what shows the new shape and all else that they say."""
    base, pictures = load_base(model, lambda _name: read_embedding(path)), []
    rng = np.random.default_rng(WORD_SCENE_SEED)
    for seed in range(count):
        scene = novel_scene(rng, testing=True)
        prompt = caption(scene).replace(WORD, f"embedding:{path.stem}")
        pixels = paint(base, prompt, seed)
        pictures.append(Picture(prompt, seed, pixels, check(pixels, scene, (*SHAPES, *NOVEL))))
    return pictures


def draw_control(model: Path, path: Path, count: int) -> list[Picture]:
    """Draw `count` prompts that do not say where, with edge maps that do; right is what is all as in the scene.

    A thing is in its place if it is no more than `NEAR` pixels from that of its edges.
    """
    base, pictures = load_base(model), []
    net, rng = load_control(path, torch.device("cpu")), np.random.default_rng(SCENE_SEED)
    for seed in range(count):
        scene = placed_scene(rng, testing=True)
        steer = partial(apply_control_advanced, control_net=net, image=Image(edges([scene])))
        pixels = paint(base, caption(scene), seed, steer=steer)
        verdict = replace(check(pixels, scene), place=furthest_off(pixels, scene) <= NEAR)
        pictures.append(Picture(caption(scene), seed, pixels, verdict))
    return pictures
