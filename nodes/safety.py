"""Watermarks and a safety checker: off unless they are placed."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.models.safety import SafetyChecker, load_safety_checker
from engine.node import PLAIN, Files, NodeContext, Range, Text, node
from engine.tensors import watermark
from engine.tensors.values import Image

CATEGORY = "image/safety"
Strength = Annotated[float, Range(1.0, 255.0, step=1.0)]


@node("EaselWatermark", category=CATEGORY, display_name="Watermark")
def mark(
    image: Image,
    text: Annotated[str, Text()] = "Easel",
    strength: Strength = watermark.STRENGTH,
    enabled: bool = True,
) -> Image:
    """Hide a short text in pictures where nobody sees it: squares of 8 pixels carry a bit each."""
    return watermark.marked(image, watermark.bits_of(text), strength) if enabled and text else image


@node("EaselReadWatermark", category=CATEGORY, display_name="Read watermark", outputs=["text"])
def read_mark(image: Image, length: Annotated[int, Range(1, 256)] = 5, strength: Strength = watermark.STRENGTH) -> str:
    """The text of `length` bytes that is hidden in the first picture."""
    return watermark.text_of(watermark.read(image, 8 * length, strength))


@node("EaselSafetyCheckerLoader", category=CATEGORY, display_name="Load safety checker")
def load_checker(checker_name: Annotated[str, Files("classifiers")], ctx: NodeContext = PLAIN) -> SafetyChecker:
    """Load the safety checker of Stable Diffusion."""
    return load_safety_checker(ctx.file("classifiers", checker_name), ctx.device)


@node("EaselSafetyCheck", category=CATEGORY, display_name="Safety check", outputs=["image", "flagged"])
def check(
    safety_checker: SafetyChecker,
    image: Image,
    strictness: Annotated[float, Range(-1.0, 1.0, step=0.01)] = 0.0,
    ctx: NodeContext = PLAIN,
) -> tuple[Image, bool]:
    """Black out pictures that show what is not wanted; `flagged` says whether there was any."""
    flags = safety_checker.flagged(image, strictness)
    if any(flags):
        ctx.warn(f"{sum(flags)} of {len(flags)} pictures were blacked out")
    keep = torch.tensor([not flag for flag in flags]).view(-1, 1, 1, 1)
    return Image(image * keep), any(flags)
