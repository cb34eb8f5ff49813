"""The image towers of CLIP and OpenCLIP (Radford et al. 2021), of any width and depth, as transformers has them.

Pictures are brought to the tower's size and to the colours that CLIP was trained on (its published preprocessing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.foundation.json import parse_lenient
from engine.memory.handle import ModelHandle
from engine.memory.work import Given, Work
from engine.models.assembly import fill, unfilled
from engine.models.detect import ArchitectureError, Shapes, detect, wrong_kind
from engine.models.text.open_clip import image_tower
from engine.models.weights import open_weights
from engine.tensors.values import Image

if TYPE_CHECKING:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HEAD_CHANNELS, MAX_HEADS = 64, 16  # ViT-L has 16 heads of 64 channels, ViT-H 16 of 80, bigG 16 of 104
OPENAI_WIDTH = 1024  # towers up to ViT-L are OpenAI's and have its activation, wider ones are OpenCLIP's
VIDEO_TOWER = "conditioner.embedders.0.open_clip.model.visual."  # in the checkpoints of Stable Video Diffusion
_FIRST = "vision_model.embeddings.patch_embedding.weight"
_PROJECTION = "visual_projection.weight"
_TEXT_PROJECTION = "text_projection.weight"
_OPEN_CLIP = "conv1.weight"


@dataclass(frozen=True, slots=True, eq=False)
class ImageStates:
    """What a tower sees in pictures: `embeddings` `(B, P)`, projected, and token states `(B, T, D)`.

    `last` are the states after the last layer, `penultimate` those before it; neither went through the final norm.
    """

    socket: ClassVar[str] = "CLIP_VISION_OUTPUT"

    embeddings: Tensor
    last: Tensor
    penultimate: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ImageEncoder:
    """Turns pictures into what a tower sees in them.

    `text_projection` `(P, D)` is what a file of a whole CLIP has for the pooled states of its text tower.
    """

    socket: ClassVar[str] = "CLIP_VISION"

    net: ModelHandle[CLIPVisionModelWithProjection]
    side: int
    text_projection: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def encode(self, pictures: Image, *, crop: bool = True) -> ImageStates:
        """The states of pictures `(B, H, W, 3)` in 0..1, of which `crop` leaves the square about the centre."""
        return self._seen(prepared(pictures, self.side, crop=crop))

    def nothing(self) -> ImageStates:
        """The states `(1, ...)` of a picture of the mean colour everywhere: all zeros for the tower."""
        return self._seen(torch.zeros(1, 3, self.side, self.side))

    def _seen(self, pixels: Tensor) -> ImageStates:
        def states(net: CLIPVisionModelWithProjection, pixels: Tensor) -> tuple[Tensor, ...]:
            out = net(pixel_values=pixels, output_hidden_states=True)
            return (out.image_embeds, *out.hidden_states[:-3:-1])

        def seen(net: CLIPVisionModelWithProjection, given: Given) -> list[tuple[Tensor, ...]]:
            placed = pixels.to(self.net.device, self.net.dtype)
            parts = torch.split(placed, given.rows or len(pixels))
            return [tuple(state.float().cpu() for state in states(net, part)) for part in parts]

        def work() -> Work:
            return Work(tuple(pixels.shape[1:]), states, (pixels[:1].to(self.net.dtype),), len(pixels), once=True)

        return ImageStates(*(torch.cat(parts) for parts in zip(*self.net.run(work, seen), strict=True)))


def prepared(pictures: Tensor, side: int, *, crop: bool = True) -> Tensor:
    """Pictures `(B, H, W, 3 or 4)` in 0..1 as a tower takes them, `(B, 3, side, side)`.

    Resized with antialiasing and rounded to 255 steps, as files are. Without `crop` they are squeezed into a square.
    """
    x = pictures[..., :3].movedim(-1, 1).float()
    height, width = x.shape[-2:]
    if (height, width) != (side, side):
        scale = side / min(height, width)
        size = (round(scale * height), round(scale * width)) if crop else (side, side)
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True)
        top, left = (x.shape[-2] - side) // 2, (x.shape[-1] - side) // 2
        x = x[..., top : top + side, left : left + side]
    x = (x * 255).clamp(0, 255).round() / 255
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (x - mean) / deviation


def load_image_encoder(path: Path, device: torch.device) -> ImageEncoder:
    """Load an image tower from a file of its own or of a whole CLIP, in either layout.

    A `config.json` beside the file is heeded. Raises `ArchitectureError` for a file of another kind, and what
    `open_weights` raises.
    """
    weights = open_weights(path)
    prefix = _place(weights)
    if prefix is not None:
        found = image_encoder_of(weights.part(prefix), device, path.name)
        return replace(found, text_projection=_text_projection(weights))
    if _FIRST not in weights:
        raise wrong_kind(path, detect(weights.shapes), "an image tower (CLIP vision)")
    beside = path.with_name("config.json")
    told = parse_lenient(beside.read_bytes(), where=beside.name) if beside.is_file() else {}
    found = image_encoder_of(weights, device, path.name, told if isinstance(told, dict) else {})
    return replace(found, text_projection=_text_projection(weights))


def has_image_encoder(path: Path) -> bool:
    """Whether there is an image tower in a checkpoint. Raises what `open_weights` raises."""
    return _place(open_weights(path)) is not None


def _place(weights: Mapping[str, Tensor]) -> str | None:
    """The prefix of the image tower in OpenCLIP's names, if there is one."""
    for prefix in ("", "visual.", "model.visual.", "embedder.model.visual.", VIDEO_TOWER):
        if f"{prefix}{_OPEN_CLIP}" in weights and f"{prefix}ln_pre.weight" in weights:
            return prefix
    return None


def image_encoder_of(
    weights: Mapping[str, Tensor], device: torch.device, where: str, config: Mapping[str, Any] | None = None
) -> ImageEncoder:
    """The encoder of a tower's tensors, named as in OpenCLIP or in transformers.

    What cannot be seen in shapes, heads and activation, is taken from `config` (a folder's `config.json`) if it has
    it. Raises `ArchitectureError` for tensors that are missing or misfit.
    """
    from transformers import CLIPVisionModelWithProjection  # late: see `text.tower`

    named = image_tower(weights) if _OPEN_CLIP in weights else dict(weights)
    try:
        built = _config({name: tuple(tensor.shape) for name, tensor in named.items()}, config or {})
    except (KeyError, ValueError) as error:
        raise ArchitectureError("the image tower is incomplete", where=where, expected=str(error.args[0])) from error
    with unfilled():
        net = CLIPVisionModelWithProjection(built)
    return ImageEncoder(ModelHandle(fill(net, named, torch.float32, where), device), built.image_size)


def _text_projection(weights: Mapping[str, Tensor]) -> Tensor | None:
    """That of the text tower in a file of a whole CLIP; OpenCLIP's layout has it transposed."""
    if _TEXT_PROJECTION in weights:
        return weights[_TEXT_PROJECTION].float()
    names = [f"{prefix}text_projection" for prefix in ("", "model.")]
    return next((weights[name].T.float() for name in names if name in weights), None)


def _config(shapes: Shapes, told: Mapping[str, Any]) -> CLIPVisionConfig:
    from transformers import CLIPVisionConfig

    width, _, patch, _ = shapes[_FIRST]
    layers = 0
    while f"vision_model.encoder.layers.{layers}.layer_norm1.weight" in shapes:
        layers += 1
    places = shapes["vision_model.embeddings.position_embedding.weight"][0] - 1
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0],
        projection_dim=shapes[_PROJECTION][0],
        num_hidden_layers=layers,
        num_attention_heads=told.get("num_attention_heads", max(1, min(MAX_HEADS, width // HEAD_CHANNELS))),
        image_size=int(places**0.5) * patch,
        patch_size=patch,
        hidden_act=told.get("hidden_act", "quick_gelu" if width <= OPENAI_WIDTH else "gelu"),
    )
