"""Text to conditioning."""

from __future__ import annotations

from typing import Annotated

from engine.models.text.encoder import TextEncoder
from engine.node import Range, Text, node
from engine.tensors.values import Conditioning


@node("CLIPTextEncode", category="conditioning", display_name="CLIP Text Encode (Prompt)")
def encode_text(text: Annotated[str, Text(multiline=True, dynamic_prompts=True)], clip: TextEncoder) -> Conditioning:
    """Encode a prompt. `(words:1.2)` weighs them, `embedding:name` inserts a textual inversion."""
    return clip.encode(text)


@node("CLIPSetLastLayer", category="conditioning", display_name="CLIP Set Last Layer")
def set_last_layer(clip: TextEncoder, stop_at_clip_layer: Annotated[int, Range(-24, -1)] = -1) -> TextEncoder:
    """Read the text encoder out before its end: -2 is what others call clip skip 2."""
    return clip.with_last_layer(stop_at_clip_layer)
