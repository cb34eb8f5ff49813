"""What image encoders see, and unCLIP's use of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from engine.models.vision.tower import ImageEncoder, ImageStates
from engine.node import Choice, Range, node
from engine.tensors.values import Conditioning, Image, Seen


@node("CLIPVisionEncode", category="conditioning", display_name="CLIP Vision Encode")
def encode_image(
    clip_vision: ImageEncoder, image: Image, crop: Annotated[str, Choice("center", "none")]
) -> ImageStates:
    """What an image encoder sees in pictures; `crop` leaves the square about the centre, none squeezes it all in."""
    return clip_vision.encode(image, crop=crop == "center")


@node("unCLIPConditioning", category="conditioning")
def unclip_conditioning(
    conditioning: Conditioning,
    clip_vision_output: ImageStates,
    strength: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0,
    noise_augmentation: Annotated[float, Range(0.0, 1.0, step=0.01)] = 0.0,
) -> Conditioning:
    """Paint variations of a picture (Stable unCLIP); `noise_augmentation` lets them stray. Several add up."""
    if strength == 0:
        return conditioning
    seen = Seen(clip_vision_output.embeddings, strength, noise_augmentation)
    prompts = (replace(p, extras=replace(p.extras, seen=(*p.extras.seen, seen))) for p in conditioning.prompts)
    return Conditioning(tuple(prompts))
