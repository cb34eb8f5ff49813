"""LoRA and its relatives, for all of a model."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Annotated

from engine.diffusion.denoiser import Denoiser
from engine.models.adapters.adapter import for_text, nothing_fits, unmatched, warning
from engine.models.adapters.reading import AdapterFile, read_adapter
from engine.models.hypernetworks import HypernetworkError, attention_widths, read_hypernetwork
from engine.models.text.encoder import TextEncoder
from engine.node import PLAIN, Files, NodeContext, Range, node

Adapters = Annotated[str, Files("loras")]
Strength = Annotated[float, Range(-100.0, 100.0, step=0.01)]


@node("LoraLoader", category="loaders", display_name="Load LoRA")
def load_lora(
    model: Denoiser,
    clip: TextEncoder,
    lora_name: Adapters,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    ctx: NodeContext = PLAIN,
) -> tuple[Denoiser, TextEncoder]:
    """Change a model and its text encoder by a LoRA, each with a strength of its own; 0 changes nothing.

    Takes LoRA, LoCon, LoHa, LoKr, DoRA, full differences, IA3, OFT, BOFT and GLoRA, with kohya's, LyCORIS' and
    diffusers' names. Any number may follow each other.
    """
    if strength_model == 0 and strength_clip == 0:
        return model, clip
    file = read_adapter(ctx.file("loras", lora_name))
    with contextlib.ExitStack() as leases:
        unet = leases.enter_context(model.net.look())
        towers = [(leases.enter_context(part.net.look()), part.changed) for part in clip.towers]
        for_model = model.changed.fit(file, unet)
        for_clip = [changed.fit(file, tower) for tower, changed in towers]
        left = unmatched(file, [unet], [(tower, changed.tower) for tower, changed in towers])
    if not for_model.changes and not any(adapter.changes for adapter in for_clip):
        raise nothing_fits(file)
    _warn(file, left, ctx)
    return (
        model.with_adapter(for_model, strength_model) if strength_model != 0 else model,
        clip.with_adapter(for_clip[0], strength_clip, *for_clip[1:]) if strength_clip != 0 else clip,
    )


@node("LoraLoaderModelOnly", category="loaders")
def load_lora_model_only(
    model: Denoiser, lora_name: Adapters, strength_model: Strength = 1.0, ctx: NodeContext = PLAIN
) -> Denoiser:
    """Change a model by a LoRA, and leave its text encoder as it is."""
    if strength_model == 0:
        return model
    file = read_adapter(ctx.file("loras", lora_name))
    with model.net.look() as unet:
        for_model = model.changed.fit(file, unet)
        left = [stem for stem in unmatched(file, (unet,)) if not for_text(stem)]
    if not for_model.changes:
        raise nothing_fits(file)
    _warn(file, left, ctx)
    return model.with_adapter(for_model, strength_model)


@node("LoraLoaderBypass", category="loaders", display_name="Load LoRA (Bypass)")
def load_lora_bypass(
    model: Denoiser,
    clip: TextEncoder,
    lora_name: Adapters,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    ctx: NodeContext = PLAIN,
) -> tuple[Denoiser, TextEncoder]:
    """The same as Load LoRA, which never writes to the weights of the model: for workflows that ask for it so."""
    return load_lora(model, clip, lora_name, strength_model, strength_clip, ctx)


@node("LoraLoaderBypassModelOnly", category="loaders")
def load_lora_bypass_model_only(
    model: Denoiser, lora_name: Adapters, strength_model: Strength = 1.0, ctx: NodeContext = PLAIN
) -> Denoiser:
    """The same as LoraLoaderModelOnly, for workflows that ask for it so."""
    return load_lora_model_only(model, lora_name, strength_model, ctx)


@node("HypernetworkLoader", category="loaders")
def load_hypernetwork(
    model: Denoiser,
    hypernetwork_name: Annotated[str, Files("hypernetworks")],
    strength: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0,
    ctx: NodeContext = PLAIN,
) -> Denoiser:
    """Change what a model's attention sees by a hypernetwork; 0 changes nothing."""
    if strength == 0:
        return model
    found = read_hypernetwork(ctx.file("hypernetworks", hypernetwork_name))
    with model.net.look() as unet:
        widths = attention_widths(unet)
    if not widths & found.branches.keys():
        raise HypernetworkError(
            "nothing in this hypernetwork is for this model",
            where=hypernetwork_name,
            expected=f"one of the widths {', '.join(map(str, sorted(widths)))}",
            got=", ".join(map(str, found.branches)),
            hint="It is for a model of another family.",
        )
    return model.with_patches(replace(found, strength=strength))


def _warn(file: AdapterFile, left: list[str], ctx: NodeContext) -> None:
    if left:
        ctx.warn(warning(file, left))
