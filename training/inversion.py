"""Trains a textual inversion on the demo model (Gal et al. 2022): a word for a shape that it has never drawn.

The word is a few vectors that stand in the prompt where a shape's word does; everything else is frozen. The file has
the form of A1111's: one tensor `emb_params`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.models.text.tower import tower_states
from training.base import BATCH, LEFT_OUT, Base, latents_of, rows_of, states_of
from training.denoiser import Objective
from training.fitting import Batch, Fit, fit
from training.scenes import NOVEL, Scene, caption, held_out, random_scene
from training.text_encoder import END, LENGTH, START

WORD = next(iter(NOVEL))
VECTORS = 1  # as many tokens as the word of a shape that the model knows
BEGUN_BY = ("square", "heart")
EXAMPLES = 3000
HOW = Fit(rate=3e-3, warm_up=20, steps=400, report_every=50, decay=0.99)
METADATA = {"modelspec.title": f"Easel demo: {WORD}", "modelspec.license": "Apache-2.0"}


class Word(nn.Module):
    """The vectors `(VECTORS, D)` of the new word; at first halfway between two words that the model knows."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        table = base.tower.get_input_embeddings().weight
        known = table[[base.encoder.tokenizer.encode(name)[-1] for name in BEGUN_BY]].float()
        self.vectors = nn.Parameter(known.mean(dim=0).repeat(VECTORS, 1))

    @contextmanager
    def spoken(self, base: Base, numbers: Tensor) -> Iterator[None]:
        """Within the block, the tower reads a vector of the word wherever `numbers` `(B, T)` has one, -1 for none."""

        def splice(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return torch.where((numbers < 0)[..., None], output, self.vectors[numbers.clamp(min=0)])

        hook = base.tower.get_input_embeddings().register_forward_hook(splice)
        try:
            yield
        finally:
            hook.remove()


def novel_scene(rng: Generator, *, testing: bool = False) -> Scene:
    """A scene with the new shape in it, once or twice, of the training split or of the held-out one."""
    while True:
        scene = random_scene(rng)
        chosen = rng.random(len(scene.things)) < 0.25
        chosen[rng.integers(len(scene.things))] = True
        things = [replace(thing, shape=WORD) if new else thing for thing, new in zip(scene.things, chosen, strict=True)]
        scene = replace(scene, things=tuple(things))
        if held_out(scene) == testing:
            return scene


def train(base: Base, folder: Path, how: Fit = HOW) -> Tensor:
    """The trained vectors."""
    torch.manual_seed(how.seed)
    word, objective = Word(base), Objective()
    rng = np.random.default_rng(how.seed)
    scenes = [novel_scene(rng) for _ in range(EXAMPLES)]
    latents = latents_of(base, scenes)
    ids, numbers = tokens(base, [caption(scene, rng) for scene in scenes])
    unprompted = states_of(base, [""])[0]

    def loss(batch: Batch) -> Tensor:
        (rows,) = batch
        with word.spoken(base, numbers[rows]), torch.autocast("cpu", torch.bfloat16):
            states = tower_states(base.tower, ids[rows], {}, -1)[0].to(torch.bfloat16)
        states = torch.where((torch.rand(BATCH) < LEFT_OUT)[:, None, None], unprompted, states)
        return objective(lambda x, steps: base.unet(x, steps, states), latents[rows])

    with sdpa_kernel(SDPBackend.MATH):
        word.load_state_dict(fit(word, lambda rng: rows_of(EXAMPLES, rng), loss, how, folder / "inversion.pt"))
    return word.vectors.detach()


def export(vectors: Tensor, path: Path) -> None:
    """Write the vectors as a textual inversion of SD1's form, in single precision as its trainer does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"emb_params": vectors.float().contiguous()}, path, METADATA)


def tokens(base: Base, prompts: list[str]) -> tuple[Tensor, Tensor]:
    """The ids `(N, LENGTH)` of prompts, and which of the new word's vectors stands at each place, -1 for none."""
    ids, numbers = torch.full((len(prompts), LENGTH), END), torch.full((len(prompts), LENGTH), -1)
    for row, prompt in enumerate(prompts):
        tokens, vectors = [START], [-1]
        for word in prompt.split():
            found = [0] * VECTORS if word == WORD else base.encoder.tokenizer.encode(word)
            tokens += found
            vectors += list(range(VECTORS)) if word == WORD else [-1] * len(found)
        ids[row, : len(tokens)], numbers[row, : len(tokens)] = torch.tensor(tokens), torch.tensor(vectors)
    return ids, numbers
