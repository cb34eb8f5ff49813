"""How well pictures and words go together: the cosine of what a CLIP's two towers make of them.

Source: Hessel et al. 2021 (CLIPScore), times 100 instead of 2.5, as it is mostly given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.foundation.errors import EaselError
from engine.models.text.encoder import TextEncoder
from engine.models.text.tower import PROJECTION, tower_width
from engine.models.vision.tower import ImageEncoder
from engine.tensors.values import Image

SCALE = 100.0
ROWS = 32  # captions that are read at once


class ScoreError(EaselError):
    """Towers that are not of one CLIP, or texts that are not one for each picture."""

    code: ClassVar[str] = "bad_score"


def clip_scores(text: TextEncoder, vision: ImageEncoder, pictures: Image, captions: Sequence[str]) -> Tensor:
    """Scores `(B,)` in 0..100 of pictures `(B, H, W, 3)` with a caption each, or one for all.

    Captions are read as plain text, up to the length of a prompt's first chunk. Raises `ScoreError`.
    """
    if len(captions) not in (1, len(pictures)):
        raise ScoreError(
            "every picture needs a text",
            where="inputs image and text",
            expected=f"1 or {len(pictures)} texts",
            got=f"{len(captions)}",
        )
    seen = vision.encode(pictures).embeddings
    said = captions_embedded(text, vision, captions, seen.shape[-1])
    return SCALE * F.cosine_similarity(seen, said.expand(len(seen), -1), dim=-1).clamp(min=0)


def captions_embedded(text: TextEncoder, vision: ImageEncoder, captions: Sequence[str], width: int) -> Tensor:
    """Captions `(N, width)` where pictures are.

    A text tower of a checkpoint has lost its projection; that in the image tower's file, of a whole CLIP, stands in.
    Raises `ScoreError` if none of the encoder's towers gets there.
    """
    found: list[str] = []
    for tower in text.towers:
        with tower.net.look() as net:
            own, states = dict(net.named_parameters()).get(PROJECTION), tower_width(net)
        projection = None if own is not None else vision.text_projection
        reached = own.shape[0] if own is not None else None if projection is None else projection.shape[0]
        fits = reached == width and (projection is None or projection.shape[1] == states)
        if fits:
            rows = [tower.tokenizer.encode(caption)[: tower.recipe.length - 2] for caption in captions]
            pooled = torch.cat([tower.states(rows[at : at + ROWS])[1] for at in range(0, len(rows), ROWS)])
            return pooled if projection is None else F.linear(pooled, projection)
        found.append(
            f"states of width {states}, " + (f"projected to {reached}" if own is not None else "no projection")
        )
    raise ScoreError(
        "these towers are not of one CLIP",
        where="inputs clip and clip_vision",
        expected=f"a text tower that ends at the width of the image tower, {width}",
        got="; ".join(found),
        hint="Load both from the file of a whole CLIP.",
    )
