"""Boxes with phrases (GLIGEN)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from engine.models.control.errors import ControlError
from engine.models.control.gligen import Box, GligenModel, Grounding, load_gligen
from engine.models.text.encoder import TextEncoder
from engine.node import PLAIN, Files, Fraction, NodeContext, Range, Text, node
from engine.tensors.values import Conditioning, Prompt

Side = Annotated[int, Range(8, 16384, step=8)]
Offset = Annotated[int, Range(0, 16384, step=8)]


@node("GLIGENLoader", category="loaders")
def load_gligen_file(gligen_name: Annotated[str, Files("gligen")], ctx: NodeContext = PLAIN) -> GligenModel:
    """Load the layers that let a model put things into boxes."""
    return load_gligen(ctx.file("gligen", gligen_name), ctx.device)


@node("GLIGENTextBoxApply", category="conditioning/gligen")
def apply_box(
    conditioning_to: Conditioning,
    clip: TextEncoder,
    gligen_textbox_model: GligenModel,
    text: Annotated[str, Text(multiline=True, dynamic_prompts=True)],
    width: Side = 64,
    height: Side = 64,
    x: Offset = 0,
    y: Offset = 0,
) -> Conditioning:
    """Put what a phrase says into a box, in pixels; up to 30 may follow each other."""
    phrase = clip.encode(text).prompts[0].pooled
    if phrase is None:
        raise ControlError(
            "this text encoder has no pooled state",
            where="GLIGENTextBoxApply, input clip",
            expected="a CLIP text encoder",
            hint="Connect that of the checkpoint.",
        )
    box = Box(phrase, x, y, width, height)
    made: dict[Grounding | None, Grounding] = {}

    def grounded(prompt: Prompt) -> Prompt:
        own = (c for c in prompt.controls if isinstance(c, Grounding) and c.model is gligen_textbox_model)
        before = next(own, None)
        if before not in made:
            made[before] = (before or Grounding(gligen_textbox_model, ())).with_box(box)
        return replace(prompt, controls=(*(c for c in prompt.controls if c is not before), made[before]))

    return Conditioning(tuple(grounded(prompt) for prompt in conditioning_to.prompts))


@node("GLIGENSetTimestepRange", category="conditioning/gligen", display_name="GLIGEN Set Timestep Range")
def set_gligen_range(conditioning: Conditioning, start: Fraction = 0.0, end: Fraction = 0.3) -> Conditioning:
    """Let boxes count from one share of the sampling to another: at its start they lay out, later they cost quality."""
    made: dict[Grounding, Grounding] = {}

    def ranged(prompt: Prompt) -> Prompt:
        for control in prompt.controls:
            if isinstance(control, Grounding) and control not in made:
                made[control] = replace(control, start=start, end=end)
        controls = (made[c] if isinstance(c, Grounding) else c for c in prompt.controls)
        return replace(prompt, controls=tuple(controls))

    return Conditioning(tuple(ranged(prompt) for prompt in conditioning.prompts))
