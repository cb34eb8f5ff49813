"""Between video files and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from engine.store.videos import CODECS, Clip, Sound, VideoError, encode_video, read_video
from engine.tensors.pictures import to_bytes
from engine.tensors.values import Audio, Image, Video

__all__ = ["CODECS", "VideoError", "encoded", "load_video", "some"]


def some(images: Image) -> Image:
    """`images`. Raises `VideoError` if there are none."""
    if len(images) == 0:
        raise VideoError("there are no frames", where="input images", expected="at least one picture", got="none")
    return images


def encoded(video: Video, texts: Mapping[str, str], codec: str, crf: float | None = None) -> bytes:
    """A video file with `texts` in it, see `encode_video`."""
    frames = [to_bytes(frame[..., :3]) for frame in video.frames]
    sound = None
    if video.audio is not None:
        sound = Sound(video.audio.waveform[0].float().cpu().numpy(), video.audio.sample_rate)
    return encode_video(Clip(frames, video.fps, sound), texts, codec, crf)


def load_video(path: Path) -> Video:
    """The video in a file. Raises `VideoError`."""
    clip = read_video(path)
    pixels = torch.from_numpy(np.stack(clip.frames)).float() / 255
    audio = None
    if clip.sound is not None:
        audio = Audio(torch.from_numpy(clip.sound.samples)[None], clip.sound.rate)
    return Video(Image(pixels), clip.fps, audio)
