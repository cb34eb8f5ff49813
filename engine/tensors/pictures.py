"""Between picture files and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageSequence
from torch import Tensor

from engine.store.pictures import encode_animated_png, encode_animated_webp, encode_png, open_picture
from engine.store.png_metadata import PictureError
from engine.tensors.values import Image, Mask

CHANNELS = {"red": "R", "green": "G", "blue": "B", "alpha": "A"}


def load_picture(path: Path) -> tuple[Image, Mask]:
    """Every frame of a picture `(B, H, W, 3)`, and `(B, H, W)` 1 - alpha (zeros if it has none).

    Frames of another size than the first are left out. Raises `PictureError`.
    """
    picture = open_picture(path)
    frames = [frame.copy() for frame in ImageSequence.Iterator(picture)] if _is_animated(picture) else [picture]
    kept = [frame for frame in frames if frame.size == picture.size]
    pixels = torch.stack([_tensor(_to_8_bit(frame).convert("RGB")) for frame in kept])
    masks = torch.stack([1.0 - _alpha(frame) for frame in kept])
    return Image(pixels), Mask(masks)


def load_channel(path: Path, channel: str) -> Mask:
    """One channel (`red`, `green`, `blue`, `alpha`) of a picture as a mask `(1, H, W)`; alpha is inverted."""
    picture = open_picture(path)
    if channel == "alpha":
        return Mask((1.0 - _alpha(picture))[None])
    if channel not in CHANNELS:
        raise PictureError("there is no such channel", where=path.name, expected=" or ".join(CHANNELS), got=channel)
    return Mask(_tensor(_to_8_bit(picture).convert("RGB").getchannel(CHANNELS[channel]))[None])


def png(picture: Tensor, texts: Mapping[str, str]) -> bytes:
    """A PNG file of `picture` `(H, W, 3 or 4)` in 0..1, values beyond that cut off."""
    return encode_png(to_bytes(picture), texts)


def animated_png(frames: Tensor, texts: Mapping[str, str], fps: float, compress_level: int) -> bytes:
    """An animated PNG file of `frames` `(B, H, W, 3 or 4)` in 0..1."""
    return encode_animated_png([to_bytes(frame) for frame in frames], texts, fps, compress_level)


def animated_webp(
    frames: Tensor, texts: Mapping[str, str], fps: float, *, lossless: bool, quality: int, method: int
) -> bytes:
    """A WebP animation of `frames` `(B, H, W, 3 or 4)` in 0..1."""
    pictures = [to_bytes(frame) for frame in frames]
    return encode_animated_webp(pictures, texts, fps, lossless=lossless, quality=quality, method=method)


def to_bytes(picture: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    # truncation, not rounding, as the community's saver does: the same workflow gives the same bytes
    return np.asarray((picture.float().cpu() * 255.0).clamp(0, 255).numpy().astype(np.uint8))


def _is_animated(picture: Pillow.Image) -> bool:
    return bool(getattr(picture, "is_animated", False))


def _to_8_bit(picture: Pillow.Image) -> Pillow.Image:
    """16-bit and 32-bit grey scaled down to 8 bits; Pillow's own conversion would cut them off."""
    if picture.mode in ("I", "I;16", "I;16B", "I;16L"):
        return Pillow.fromarray((np.asarray(picture, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    return picture


def _alpha(frame: Pillow.Image) -> Tensor:
    if "A" in frame.getbands():
        return _tensor(frame.getchannel("A"))
    if frame.mode == "P" and "transparency" in frame.info:
        return _tensor(frame.convert("RGBA").getchannel("A"))
    return torch.ones(frame.height, frame.width)


def _tensor(picture: Pillow.Image) -> Tensor:
    return torch.from_numpy(np.array(picture, dtype=np.float32) / 255.0)
