"""Videos in files: written as MP4 or WebM with texts in the container, and read frame by frame.

PyAV is imported where it is used: it loads the libraries of FFmpeg, which takes longer than starting a server.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from engine.foundation.errors import EaselError

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, VideoStream
    from av.container import InputContainer, OutputContainer

MAX_PIXELS = 2**30  # of all frames of a video: 12 GiB once they are numbers
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,ogg"
"""No other container is opened: play lists, for one, would have other files opened, and addresses in the net."""
OPUS_RATE = 48_000


class VideoError(EaselError):
    """A video that cannot be read or written."""

    code: ClassVar[str] = "bad_video"


@dataclass(frozen=True, slots=True)
class Codec:
    """How frames are written: container and its suffix, encoder, and how it keeps colours; `sound` is its companion."""

    container: str
    encoder: str
    colours: str
    sound: str


CODECS: Mapping[str, Codec] = {
    "h264": Codec("mp4", "libx264", "yuv420p", "aac"),
    "vp9": Codec("webm", "libvpx-vp9", "yuv420p", "libopus"),
    "av1": Codec("webm", "libsvtav1", "yuv420p10le", "libopus"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Sound as `samples` `(C, N)` in -1..1, `rate` of them a second."""

    samples: NDArray[np.float32]
    rate: int


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames `(H, W, 3)` of one size, `fps` of them a second, and what is heard with them."""

    frames: Sequence[NDArray[np.uint8]]
    fps: float
    sound: Sound | None = None


def encode_video(clip: Clip, texts: Mapping[str, str], codec: str, crf: float | None = None) -> bytes:
    """A file with a tag for each of `texts`; `crf` is the loss of quality, 0 to 63, None for the encoder's own.

    Sides of uneven length lose a row or a column: four pixels share a colour. Raises `VideoError`.
    """
    import av

    how = CODECS[codec]
    height, width = (side // 2 * 2 for side in clip.frames[0].shape[:2])
    if not height or not width:
        raise VideoError("these frames are too small for a video", expected="2 x 2 pixels or more")
    file = io.BytesIO()
    options = {"movflags": "use_metadata_tags"} if how.container == "mp4" else {}
    try:
        with av.open(file, "w", format=how.container, options=options) as container:
            for key, text in texts.items():
                container.metadata[key] = text
            rate = Fraction(clip.fps).limit_denominator(1001)
            stream = cast("VideoStream", container.add_stream(how.encoder, rate=rate))
            stream.width, stream.height, stream.pix_fmt = width, height, how.colours
            if crf is not None:
                stream.bit_rate = 0  # the quality counts alone
                stream.options = {"crf": f"{crf:g}"}
            heard = _heard_stream(container, how, clip.sound)
            for frame in clip.frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
            if heard is not None and clip.sound is not None:
                for part in _resampled(clip.sound, heard.rate):
                    container.mux(heard.encode(part))
                container.mux(heard.encode())
    except av.error.FFmpegError as error:
        raise VideoError("this video cannot be written", got=_said(error)) from error
    return file.getvalue()


def read_video(path: Path, max_pixels: int = MAX_PIXELS) -> Clip:
    """All frames of a file, turned as it says, and its sound. Raises `VideoError`, also for more than `max_pixels`."""
    from av.error import FFmpegError

    try:
        with _opened(path) as container:
            if not container.streams.video:
                raise VideoError("there is no video in this file", where=path.name)
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = stream.average_rate or stream.guessed_rate
            most = max_pixels // max(1, stream.width * stream.height)
            frames: list[NDArray[np.uint8]] = []
            for frame in container.decode(stream):
                if len(frames) >= most:
                    raise VideoError(
                        "this video is too long for the memory",
                        where=path.name,
                        expected=f"at most {most} frames of {stream.width} x {stream.height}",
                        hint="Cut it, or make it smaller.",
                    )
                frames.append(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))
        if not frames:
            raise VideoError("this video has no frames", where=path.name)
        return Clip(frames, float(rate or 1), read_sound(path))
    except (FFmpegError, ValueError) as error:
        raise VideoError("this video cannot be read", where=path.name, got=_said(error)) from error


def read_sound(path: Path) -> Sound | None:
    """What is heard in a file, None if nothing is. Raises what PyAV raises for damaged files."""
    import av

    with _opened(path) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        planar = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
        heard = [part.to_ndarray() for frame in container.decode(stream) for part in planar.resample(frame)]
        heard += [part.to_ndarray() for part in planar.resample(None)]
        return Sound(np.concatenate(heard, axis=1), stream.rate) if heard else None


def read_texts(path: Path) -> dict[str, str]:
    """The tags of a file, their names in lower case. Raises `VideoError`."""
    from av.error import FFmpegError

    try:
        with _opened(path) as container:
            return {key.lower(): text for key, text in container.metadata.items()}
    except (FFmpegError, ValueError) as error:
        raise VideoError("this video cannot be read", where=path.name, got=_said(error)) from error


def _opened(path: Path) -> InputContainer:
    import av

    return av.open(path, "r", options={"format_whitelist": FORMATS, "protocol_whitelist": "file"})


def _heard_stream(container: OutputContainer, codec: Codec, sound: Sound | None) -> AudioStream | None:
    if sound is None:
        return None
    rate = OPUS_RATE if codec.sound == "libopus" else sound.rate
    return cast("AudioStream", container.add_stream(codec.sound, rate=rate, layout=_layout(sound)))


def _resampled(sound: Sound, rate: int) -> Iterator[AudioFrame]:
    import av

    layout = _layout(sound)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.samples[:2]), format="fltp", layout=layout)
    frame.sample_rate = sound.rate
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _layout(sound: Sound) -> str:
    return "mono" if len(sound.samples) == 1 else "stereo"


def _said(error: Exception) -> str:
    """What went wrong, without the path that FFmpeg puts behind it."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:200]
