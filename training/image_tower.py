"""Trains the demo's image tower: what the demo's text encoder says, seen in a picture (Radford et al. 2021, CLIP).

The text encoder stays as it is; a linear map of its pooled states and a small ViT meet in one space, so that the score
of a picture and a prompt, and the distance of many pictures to real scenes, can be measured with the demo alone. Every
batch holds each scene with a twin that differs in one thing only: what is told apart is what the words say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from engine.models.text.tower import tower_states
from engine.models.vision.score import captions_embedded
from engine.models.vision.tower import ImageEncoder, prepared
from engine.tensors.statistics import Statistics, statistics_of
from engine.tensors.values import Image
from training.base import BATCH, Base
from training.fitting import Batch, Fit, fit
from training.scenes import COLOURS, PLACES, RADII, RELATIONS, SHAPES, SIZE, Scene, Thing, caption, random_scene, render
from training.text_encoder import END, START, WIDTH

CHANNELS, LAYERS, PATCH, SHARED = 128, 4, 8, 64
TOKENS = 24  # of a caption at the most: what comes behind the end does not reach it
PAIRS = 96  # scenes and their twins in a batch
NOISE = 0.03  # in 0..1, so that the tower does not look at what no painted picture gets right
HOW = Fit(rate=1.5e-3, warm_up=200, minutes=58, report_every=200)
KINDS = ("shape", "colour", "size", "background", "where", "swap")  # what twins differ in
SCENES, STATISTICS_SEED, MEASURE_SEED = 2048, 70_000, 60_000
METADATA = {"modelspec.title": "Easel demo: image tower", "modelspec.license": "Apache-2.0"}


class Pair(nn.Module):
    """The image tower, the map of the text encoder's pooled states, and the logarithm of the scale of cosines."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = CLIPVisionModelWithProjection(tower_config())
        self.text_projection = nn.Linear(WIDTH, SHARED, bias=False)
        self.scale = nn.Parameter(torch.tensor(2.66))  # 1 / 0.07, as CLIP begins

    def forward(self, pixels: Tensor, pooled: Tensor) -> Tensor:
        """Scaled cosines `(pictures, captions)`."""
        seen = F.normalize(self.tower(pixel_values=pixels).image_embeds.float(), dim=-1)
        said = F.normalize(self.text_projection(pooled), dim=-1)
        scaled: Tensor = self.scale.clamp(max=4.6052).exp() * seen @ said.T
        return scaled


def tower_config() -> CLIPVisionConfig:
    """A ViT of four layers of width 128 over patches of eight pixels, quick GELU as in CLIP ViT-L."""
    return CLIPVisionConfig(
        hidden_size=CHANNELS,
        intermediate_size=4 * CHANNELS,
        projection_dim=SHARED,
        num_hidden_layers=LAYERS,
        num_attention_heads=CHANNELS // 64,
        image_size=SIZE,
        patch_size=PATCH,
        hidden_act="quick_gelu",
    )


def train(base: Base, folder: Path, how: Fit = HOW) -> Pair:
    """The trained pair, with averaged weights."""
    torch.manual_seed(how.seed)
    pair = Pair()

    def loss(batch: Batch) -> Tensor:
        pictures, ids = batch
        pixels = pictures.float() / 255 + NOISE * torch.randn(pictures.shape)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            pooled = tower_states(base.tower, ids, {}, -1)[1].float()
        with torch.autocast("cpu", torch.bfloat16):
            logits = pair(prepared(pixels.clamp(0, 1), SIZE), pooled).float()
        return contrast(logits, ids)

    def make(rng: Generator) -> Batch:
        scenes = [random_scene(rng) for _ in range(PAIRS)]
        said = [(s, rng.random() < 0.3, int(rng.integers(2**31))) for s in scenes]
        both = [(s, part, seed) for scene, part, seed in said for s in (scene, twin(scene, rng))]
        captions = [caption(s, np.random.default_rng(seed) if part else None) for s, part, seed in both]
        pictures = np.stack([render(s) for s, _, _ in both])
        return torch.from_numpy((pictures * 255).round().astype(np.uint8)), ids_of(base, captions)

    pair.load_state_dict(fit(pair, make, loss, how, folder / "image-tower.pt"))
    return pair.eval()


def contrast(logits: Tensor, ids: Tensor) -> Tensor:
    """The mean cross-entropy of finding each picture's caption and each caption's picture; equal captions are no
    mistake.
    """
    same = (ids[:, None] == ids[None]).all(dim=-1)
    others = same & ~torch.eye(len(ids), dtype=torch.bool)
    logits = logits.masked_fill(others, -torch.inf)
    right = torch.arange(len(ids))
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def twin(scene: Scene, rng: Generator) -> Scene:
    """The same scene but for one thing that its caption says."""
    kinds = KINDS if len(scene.things) == 2 else KINDS[:-1]
    while True:
        changed = _changed(scene, kinds[int(rng.integers(len(kinds)))], rng)
        clear = all(thing.colour != changed.background for thing in changed.things)
        if clear and caption(changed) != caption(scene):
            return changed


def ids_of(base: Base, captions: list[str]) -> Tensor:
    """Token ids `(N, TOKENS)` of captions, laid out as the text encoder lays them."""
    ids = torch.full((len(captions), TOKENS), END)
    for row, text in enumerate(captions):
        own = [START, *base.encoder.tokenizer.encode(text)][: TOKENS - 1]
        ids[row, : len(own)] = torch.tensor(own)
    return ids


def export(pair: Pair, path: Path) -> None:
    """Write tower and projections in half precision, named as in files of a whole CLIP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: weight for name, weight in pair.tower.state_dict().items() if "position_ids" not in name}
    tensors["text_projection.weight"] = pair.text_projection.weight
    save_file({name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}, path, METADATA)


def scene_statistics(tower: ImageEncoder, count: int = SCENES) -> Statistics:
    """The statistics of drawn scenes: what painted pictures are held against."""
    rng = np.random.default_rng(STATISTICS_SEED)
    total: Statistics | None = None
    for _ in range(0, count, BATCH):
        part = statistics_of(tower.encode(_pictures([random_scene(rng) for _ in range(BATCH)])).embeddings)
        total = part if total is None else total.joined(part)
    assert total is not None
    return total


def measured(base: Base, tower: ImageEncoder, count: int = 200) -> dict[str, float]:
    """On held-out scenes, the shares that fit their own caption better: than that of another scene (`others`), than
    those of all others (`all`), and than that of a twin, by what differs.
    """
    rng = np.random.default_rng(MEASURE_SEED)
    scenes = [random_scene(rng, testing=True) for _ in range(count)]
    seen = F.normalize(tower.encode(_pictures(scenes)).embeddings, dim=-1)

    def cosines(captioned: list[Scene]) -> Tensor:
        said = captions_embedded(base.encoder, tower, [caption(scene) for scene in captioned], SHARED)
        return seen @ F.normalize(said, dim=-1).T

    whole = cosines(scenes)
    own = whole.diagonal()
    shares = {
        "others": float((own > whole.roll(7, dims=1).diagonal()).float().mean()),
        "all": float((whole.argmax(dim=1) == torch.arange(count)).float().mean()),
    }
    for kind in KINDS:
        twins = [_changed(s, kind, rng) if kind != "swap" or len(s.things) == 2 else s for s in scenes]
        apart = torch.tensor([caption(t) != caption(s) for t, s in zip(twins, scenes, strict=True)])
        shares[kind] = float((own > cosines(twins).diagonal())[apart].float().mean())
    return shares


def _pictures(scenes: list[Scene]) -> Image:
    return Image(torch.from_numpy(np.stack([render(scene) for scene in scenes])))


def _changed(scene: Scene, kind: str, rng: Generator) -> Scene:
    number = int(rng.integers(len(scene.things)))
    thing = scene.things[number]
    if kind == "background":
        return replace(scene, background=_other(COLOURS, scene.background, rng))
    if kind == "where":
        return _moved(scene, rng)
    if kind == "swap":
        first, second = scene.things
        return replace(scene, things=(_at(second, first), _at(first, second)))
    if kind == "shape":
        thing = replace(thing, shape=_other(SHAPES, thing.shape, rng))
    elif kind == "colour":
        thing = replace(thing, colour=_other(COLOURS, thing.colour, rng))
    else:
        thing = replace(thing, size=_other(RADII, thing.size, rng))
    return replace(scene, things=tuple(thing if place == number else t for place, t in enumerate(scene.things)))


def _moved(scene: Scene, rng: Generator) -> Scene:
    if scene.relation is None:
        place = _other(PLACES, scene.place or "", rng)
        x, y = PLACES[place]
        return replace(scene, place=place, things=(replace(scene.things[0], x=x, y=y),))
    relation = _other(RELATIONS, scene.relation, rng)
    spots = RELATIONS[relation]
    things = tuple(replace(thing, x=x, y=y) for thing, (x, y) in zip(scene.things, spots, strict=True))
    return replace(scene, relation=relation, things=things)


def _at(thing: Thing, where: Thing) -> Thing:
    return replace(thing, x=where.x, y=where.y)


def _other(names: Iterable[str], but: str, rng: Generator) -> str:
    choices = [name for name in names if name != but]
    return choices[int(rng.integers(len(choices)))]
