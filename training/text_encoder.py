"""Trains the demo's text encoder: a small CLIP-shaped transformer that binds each attribute to its thing.

It learns from a readout that looks at the text as the UNet will, by cross-attention over all token states: one query
for each place of a scene must tell the shape, colour and size of what stands there, and one more the background. That
solves the language in minutes, before any picture is painted; the readout is thrown away and the encoder frozen.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel

from engine.models.text.tokenizer import ClipTokenizer
from training.fitting import Batch, Fit, State, fit
from training.scenes import COLOURS, PLACES, RADII, RELATIONS, SHAPES, Scene, caption, random_scene

LENGTH, WIDTH, HEADS = 77, 128, 8
START, END = 49406, 49407
VOCABULARY = 49408
UNSAID = -100
WORDS = (
    *SHAPES,
    *COLOURS,
    *RADII,
    *("a", "an", "the", "and", "of", "on", "in", "at", "to", "with", "next", "above", "below", "left", "right"),
    *("top", "bottom", "corner", "centre", "center", "background"),
)


class Reader(nn.Module):
    """The encoder under training with its readout: shape, colour and size logits for each place and the background."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = CLIPTextModel(encoder_config(len(vocabulary())))
        queries = len(PLACES) + 1
        self.queries = nn.Parameter(torch.randn(queries, WIDTH) * 0.5)
        self.offsets = nn.Parameter(torch.randn(queries, 2 * WIDTH) * 0.1)
        self.keys = nn.Linear(WIDTH, WIDTH, bias=False)
        self.values = nn.Linear(WIDTH, 2 * WIDTH, bias=False)
        self.mix = nn.Sequential(nn.Linear(2 * WIDTH, 2 * WIDTH), nn.GELU())
        self.heads = nn.ModuleList(nn.Linear(2 * WIDTH, n) for n in (len(SHAPES) + 1, len(COLOURS), len(RADII)))

    def forward(self, ids: Tensor) -> list[Tensor]:
        states = self.encoder(input_ids=ids).last_hidden_state
        q = self.queries.expand(len(ids), -1, -1)
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (q, self.keys(states), self.values(states)))
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return [head(self.mix(seen + self.offsets)) for head in self.heads]


def encoder_config(vocabulary_size: int = VOCABULARY) -> CLIPTextConfig:
    """The encoder's shape: four layers of width 128, two heads, quick GELU as in CLIP ViT-L."""
    return CLIPTextConfig(
        vocab_size=vocabulary_size,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=4,
        num_attention_heads=WIDTH // 64,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        projection_dim=WIDTH,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def train(folder: Path, minutes: float) -> CLIPTextModel:
    """The trained encoder, over the tokens of `vocabulary()` alone."""
    reader = Reader()
    for name, weight in reader.encoder.named_parameters():
        if "embedding" in name:
            nn.init.normal_(weight, std=0.05)
    state = folder / "text-encoder.pt"
    reader.load_state_dict(fit(reader, _batch, lambda batch: _loss(reader, *batch), Fit(minutes), state, _report))
    return reader.encoder.eval()


@lru_cache
def vocabulary() -> tuple[int, ...]:
    """The CLIP token ids that captions can hold, ascending. Only these embeddings are trained."""
    return tuple(sorted({token for word in WORDS for token in _word(word)} | {START, END}))


def token_ids(text: str) -> list[int]:
    """`text` as `LENGTH` positions in `vocabulary()`, padded with the end token as in SD1."""
    ids = [START, *(token for word in text.split() for token in _word(word))][: LENGTH - 1]
    places = {token: place for place, token in enumerate(vocabulary())}
    return [places[token] for token in [*ids, *[END] * (LENGTH - len(ids))]]


@torch.no_grad()
def encode(encoder: CLIPTextModel, captions: list[str]) -> Tensor:
    """Token states `(B, 77, WIDTH)` of captions."""
    states: Tensor = encoder(input_ids=torch.tensor([token_ids(text) for text in captions])).last_hidden_state
    return states


@lru_cache
def _word(word: str) -> tuple[int, ...]:
    return tuple(_tokenizer().encode(word))


@lru_cache
def _tokenizer() -> ClipTokenizer:
    return ClipTokenizer.load()


def _batch(rng: Generator) -> Batch:
    scenes = [random_scene(rng) for _ in range(128)]
    texts = [caption(scene, rng) for scene in scenes]
    answers = np.stack([_answers(scene, text) for scene, text in zip(scenes, texts, strict=True)])
    return torch.tensor([token_ids(text) for text in texts]), torch.from_numpy(answers)


def _answers(scene: Scene, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Shape, colour and size at each place, and the background's colour in the last row."""
    rows = np.full((len(PLACES) + 1, 3), UNSAID, dtype=np.int64)
    rows[:-1, 0] = len(SHAPES)
    centres = RELATIONS[scene.relation] if scene.relation else (PLACES[scene.place or "in the centre"],)
    for thing, centre in zip(scene.things, centres, strict=True):
        size = list(RADII).index(thing.size) if thing.size in text.split() else UNSAID
        row = list(PLACES.values()).index(centre)
        rows[row] = (list(SHAPES).index(thing.shape), list(COLOURS).index(thing.colour), size)
    if "background" in text:
        rows[-1, 1] = list(COLOURS).index(scene.background)
    return rows


def _loss(reader: Reader, ids: Tensor, answers: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = reader(ids)
    losses = [
        F.cross_entropy(head.float().flatten(0, 1), answers[..., i].flatten(), ignore_index=UNSAID)
        for i, head in enumerate(logits)
    ]
    return torch.stack(losses).sum()


@torch.no_grad()
def _report(average: State) -> str:
    reader = Reader()
    reader.load_state_dict(average)
    ids, answers = _batch(np.random.default_rng(123))
    right = [
        ((head.argmax(-1) == answers[..., i])[answers[..., i] != UNSAID]).float().mean().item()
        for i, head in enumerate(reader(ids))
    ]
    return "shape {:.3f}, colour {:.3f}, size {:.3f} right".format(*right)
