"""The safety checker of Stable Diffusion: what a picture shows, compared with concepts that are not wanted.

Source: Rando et al. 2022 (Red-teaming the Stable Diffusion safety filter), which describes it. Its file holds an image
tower of CLIP, seventeen concepts and three that call for special care, each a direction and a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.foundation.bounds import within
from engine.models.detect import ArchitectureError
from engine.models.vision.tower import ImageEncoder, image_encoder_of
from engine.models.weights import open_weights
from engine.tensors.values import Image

CARE = 0.01  # by how much a thing that calls for special care lowers the thresholds of all others
_CONCEPTS, _CARES = ("concept_embeds", "concept_embeds_weights"), ("special_care_embeds", "special_care_embeds_weights")
_TOWERS = ("vision_model.vision_model.", "vision_model.")


@dataclass(frozen=True, slots=True, eq=False)
class Concepts:
    """Directions `(N, P)` and how near a picture `(N,)` may come to each, as a cosine."""

    directions: Tensor
    thresholds: Tensor

    def scores(self, seen: Tensor) -> Tensor:
        """How far beyond the thresholds pictures `(B, P)` are, `(B, N)`."""
        return F.normalize(seen) @ F.normalize(self.directions).T - self.thresholds


@dataclass(frozen=True, slots=True, eq=False)
class SafetyChecker:
    """Tells pictures that show what is not wanted."""

    socket: ClassVar[str] = "SAFETY_CHECKER"

    encoder: ImageEncoder
    concepts: Concepts
    special: Concepts

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.encoder.nbytes

    def flagged(self, pictures: Image, strictness: float = 0.0) -> list[bool]:
        """Which of `pictures` `(B, H, W, 3)` show a concept.

        `strictness`, -1 to 1, lowers all thresholds; published is 0. Scores count to three decimals, as published.
        """
        return self.flagged_of(self.encoder.encode(pictures).embeddings, strictness)

    def flagged_of(self, seen: Tensor, strictness: float = 0.0) -> list[bool]:
        """The same for what the tower sees in pictures, `(B, P)`."""
        within("strictness", strictness, -1.0, 1.0)
        careful = _beyond(self.special.scores(seen) + strictness)
        concepts = self.concepts.scores(seen) + strictness + CARE * careful[:, None]
        return [bool(found) for found in _beyond(concepts)]


def _beyond(scores: Tensor) -> Tensor:
    """Whether any score of a picture is above zero."""
    return (torch.round(scores, decimals=3) > 0).any(dim=1)


def load_safety_checker(path: Path, device: torch.device) -> SafetyChecker:
    """Load a checker from its file. Raises `ArchitectureError` for another file, and what `open_weights` raises."""
    weights = open_weights(path)
    missing = [name for name in (*_CONCEPTS, *_CARES) if name not in weights]
    if missing:
        raise ArchitectureError(
            "this is no safety checker",
            where=path.name,
            expected=", ".join(missing),
            hint="It is the file in the folder safety_checker of Stable Diffusion in diffusers' form.",
        )
    prefix = next(start for start in _TOWERS if start == _TOWERS[-1] or any(name.startswith(start) for name in weights))
    tower = {_TOWERS[-1] + name: tensor for name, tensor in weights.part(prefix).items()}
    tower["visual_projection.weight"] = weights["visual_projection.weight"]
    concepts, special = (Concepts(*(weights[name].float() for name in names)) for names in (_CONCEPTS, _CARES))
    return SafetyChecker(image_encoder_of(tower, device, path.name), concepts, special)
