"""Videos: loaded, taken apart, put together and saved as MP4 or WebM."""

from __future__ import annotations

from typing import Annotated

from engine.node import PLAIN, Choice, Files, NodeContext, Range, Socket, node
from engine.tensors import videos
from engine.tensors.values import Audio, Image, Video
from engine.tensors.videos import CODECS, VideoError, some

CATEGORY = "image/video"
AUTO = "auto"
USUAL = {AUTO: "h264", "mp4": "h264", "webm": "vp9"}  # the codec of each format

Heard = Annotated[Audio | None, Socket("AUDIO")]


@node("LoadVideo", category=CATEGORY, display_name="Load Video")
def load_video(file: Annotated[str, Files("videos", upload="video")], ctx: NodeContext = PLAIN) -> Video:
    """A video from the input folder."""
    return videos.load_video(ctx.file("videos", file))


@node("GetVideoComponents", category=CATEGORY, display_name="Get Video Components", outputs=["images", "audio", "fps"])
def video_components(video: Video) -> tuple[Image, Heard, float]:
    """The frames of a video, what is heard with them, and how many there are a second."""
    return video.frames, video.audio, video.fps


@node("CreateVideo", category=CATEGORY, display_name="Create Video")
def create_video(
    images: Image, fps: Annotated[float, Range(1.0, 120.0, step=1.0)] = 30.0, audio: Audio | None = None
) -> Video:
    """Pictures one after the other, `fps` a second, with a sound to go with them."""
    return Video(some(images), fps, audio)


@node("SaveVideo", category=CATEGORY, display_name="Save Video", sink=True)
def save_video(
    video: Video,
    filename_prefix: str = "video/ComfyUI",
    format: Annotated[str, Choice(*USUAL)] = AUTO,  # noqa: A002  # the name of saved workflows
    codec: Annotated[str, Choice(AUTO, *CODECS)] = AUTO,
    ctx: NodeContext = PLAIN,
) -> None:
    """Write a video to the output folder, with the prompt and the workflow in it; auto is MP4 with H.264."""
    chosen = USUAL[format] if codec == AUTO else codec
    if format not in (AUTO, CODECS[chosen].container):
        raise VideoError(
            "this format does not go with this codec",
            where="inputs format and codec",
            expected=" or ".join(name for name, how in CODECS.items() if how.container == format),
            got=f"{format} and {codec}",
            hint="Choose auto for one of the two.",
        )
    _save(video, filename_prefix, chosen, None, ctx)


@node("SaveWEBM", category=CATEGORY, sink=True)
def save_webm(
    images: Image,
    filename_prefix: str = "ComfyUI",
    codec: Annotated[str, Choice("vp9", "av1")] = "vp9",
    fps: Annotated[float, Range(0.01, 1000.0, step=0.01)] = 24.0,
    crf: Annotated[float, Range(0.0, 63.0)] = 32.0,
    ctx: NodeContext = PLAIN,
) -> None:
    """Write pictures to the output folder as a WebM video; a higher `crf` makes it smaller and worse."""
    _save(Video(some(images), fps), filename_prefix, codec, crf, ctx)


def _save(video: Video, prefix: str, codec: str, crf: float | None, ctx: NodeContext) -> None:
    size = video.frames.shape[2], video.frames.shape[1]
    data = videos.encoded(video, ctx.metadata, codec, crf)
    ctx.save(data, prefix, f".{CODECS[codec].container}", "output", size, animated=True)
