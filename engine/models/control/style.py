"""Style models: what an image tower sees of a picture, as a few tokens at the end of a prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.memory.precision import compute_dtype
from engine.memory.work import Given, Work, in_one_piece
from engine.models.assembly import fill, unfilled
from engine.models.control.errors import ControlError, sound
from engine.models.detect import detect, wrong_kind
from engine.models.nets.patches import Attend, Patch, Site
from engine.models.nets.picture_prompts import StyleAdapter
from engine.models.vision.tower import ImageStates
from engine.models.weights import open_weights
from engine.tensors.values import Control

_MARK = "style_embedding"


@dataclass(frozen=True, slots=True, eq=False)
class StyleModel:
    """A style adapter with the name of its file."""

    socket: ClassVar[str] = "STYLE_MODEL"

    name: str
    net: ModelHandle[StyleAdapter]

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def tokens(self, states: ImageStates) -> Tensor:
        """The tokens `(B, T, D)` of pictures. Raises `ControlError` for another image tower's states."""
        with self.net.look() as net:
            wanted = net.style_embedding.shape[-1]
        if states.last.shape[-1] != wanted:
            raise ControlError(
                "this picture was seen by another image encoder",
                where=f"{self.name}, input clip_vision_output",
                expected=f"states of width {wanted}" + (", those of CLIP ViT-L" if wanted == 1024 else ""),
                got=f"{states.last.shape[-1]}",
                hint="Load the CLIP vision model that the style model was trained with.",
            )

        def tokens(net: StyleAdapter, _given: Given) -> Tensor:
            out: Tensor = net(states.last.to(self.net.device, self.net.dtype))
            return out.float().cpu()

        def work() -> Work:
            return in_one_piece("tokens", lambda net, last: net(last), states.last.to(self.net.dtype), once=True)

        return self.net.run(work, tokens)


@dataclass(frozen=True, slots=True, eq=False)
class TokenBias(Control, Patch):
    """The last `count` of a prompt's `length` tokens are attended to `factor` times as much as the others."""

    kind: ClassVar[str] = "bias"

    count: int
    length: int
    factor: float
    start: float = 0.0
    end: float = 1.0
    shared: bool = False

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)` with the logarithm of the factor added to the scores of those tokens."""
        if site.kind != "cross" or k.shape[2] % self.length:
            return attend(site, q, k, v)
        bias = torch.zeros(self.length, device=k.device)
        bias[self.length - self.count :] = math.log(max(self.factor, torch.finfo(torch.float16).tiny))
        bias = bias.repeat(k.shape[2] // self.length)
        return attend(replace(site, bias=bias if site.bias is None else site.bias + bias), q, k, v)


def load_style_model(path: Path, device: torch.device, *, dtype: torch.dtype | None = None) -> StyleModel:
    """Load a style adapter (T2I-Adapter's).

    Raises `ArchitectureError` for a file of another kind or with parts missing, and what `open_weights` raises.
    """
    weights = open_weights(path)
    if _MARK not in weights or "proj" not in weights:
        raise wrong_kind(path, detect(weights.shapes), "a style model (the style form of T2I-Adapter)")
    (_, tokens, channels), (_, width) = weights.shapes[_MARK], weights.shapes["proj"]
    layers = len({name.split(".")[1] for name in weights if name.startswith("transformer_layes.")})
    with unfilled():
        net = StyleAdapter(channels, width, tokens, layers)
    dtype = dtype or compute_dtype(device)
    fill(net, weights, dtype, path.name, exact=True)
    return StyleModel(path.name, ModelHandle(sound(net, "style model", path.name), device))
