"""Pictures measured: how well they fit their words, and how near a set of them is to real ones."""

from __future__ import annotations

from typing import Annotated

from engine.models.text.encoder import TextEncoder
from engine.models.vision.inception import InceptionEncoder, load_inception
from engine.models.vision.score import clip_scores
from engine.models.vision.tower import ImageEncoder
from engine.node import PLAIN, Files, NodeContext, Text, node
from engine.tensors.statistics import Statistics, frechet_distance, read, statistics_of, written
from engine.tensors.values import Image

CATEGORY = "evaluation"


@node("CLIPScore", category=CATEGORY, display_name="CLIP Score", outputs=["score", "scores"])
def clip_score(
    clip: TextEncoder, clip_vision: ImageEncoder, image: Image, text: Annotated[str, Text(multiline=True)] = ""
) -> tuple[float, list[float]]:
    """How well pictures fit a text, 0 to 100: the mean, and each by itself. Both towers are of one CLIP.

    With a text on each of as many lines as there are pictures, each picture is held against its own.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    texts = lines if len(lines) == len(image) else [" ".join(lines)]
    scores = clip_scores(clip, clip_vision, image, texts)
    return float(scores.mean()), scores.tolist()


@node("InceptionLoader", category="loaders", display_name="Load Inception (FID)")
def load_inception_network(
    file_name: Annotated[str, Files("classifiers")], ctx: NodeContext = PLAIN
) -> InceptionEncoder:
    """Load the network of the Fréchet inception distance, pt_inception-2015-12-05-6726825d.pth."""
    return load_inception(ctx.file("classifiers", file_name), ctx.device)


@node("InceptionStatistics", category=CATEGORY, display_name="Statistics (Inception)")
def inception_statistics(
    inception: InceptionEncoder, image: list[Image], statistics: Statistics | None = None, ctx: NodeContext = PLAIN
) -> Statistics:
    """What pictures have in common for Inception, all lists and batches together, and with earlier statistics."""
    for step in ctx.steps(len(image)):
        statistics = _with(statistics, statistics_of(inception.encode(image[step])))
    return _some(statistics)


@node("CLIPVisionStatistics", category=CATEGORY, display_name="Statistics (CLIP Vision)")
def clip_vision_statistics(
    clip_vision: ImageEncoder, image: list[Image], statistics: Statistics | None = None, ctx: NodeContext = PLAIN
) -> Statistics:
    """The same for an image tower: less about textures, more about what is shown."""
    for step in ctx.steps(len(image)):
        statistics = _with(statistics, statistics_of(clip_vision.encode(image[step]).embeddings))
    return _some(statistics)


@node("FrechetDistance", category=CATEGORY, display_name="Fréchet Distance (FID)", outputs=["distance"])
def distance(first: Statistics, second: Statistics) -> float:
    """How far apart two sets of pictures are, 0 for the same; with Inception, the FID. It takes thousands of pictures.

    With fewer than features have numbers (2048 in Inception) distances come out too large, and compare only with those
    of as many.
    """
    return frechet_distance(first, second)


@node("SaveStatistics", category=CATEGORY, display_name="Save Statistics", sink=True)
def save_statistics(
    statistics: Statistics, filename_prefix: str = "statistics/pictures", ctx: NodeContext = PLAIN
) -> None:
    """Write statistics as pytorch-fid does; in models/statistics they can be loaded."""
    ctx.save(written(statistics), filename_prefix, ".npz")


@node("LoadStatistics", category="loaders", display_name="Load Statistics")
def load_statistics(file_name: Annotated[str, Files("statistics")], ctx: NodeContext = PLAIN) -> Statistics:
    """Load the mean and the covariance that a program for FIDs wrote."""
    return read(ctx.file("statistics", file_name).read_bytes(), file_name)


def _with(before: Statistics | None, more: Statistics) -> Statistics:
    return more if before is None else before.joined(more)


def _some(statistics: Statistics | None) -> Statistics:
    assert statistics is not None, "a list of pictures is never empty"
    return statistics
