"""What the LoRA formats call the modules of a net, computed from the net's own module names.

Three ways to name a module of the UNet are about: the original one (`input_blocks.1.1.proj_in`), that of diffusers
(`down_blocks.0.attentions.0.proj_in`), and either with underscores for dots behind a prefix (kohya's trainer). Text
towers have one way only, behind the prefix of the tower. Source: the published files and `models.md`, part 2b.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

Tower: TypeAlias = Literal["only", "first", "second"]
"""Which of a family's text towers: SD1 and SD2 have one, SDXL two."""

_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_TOWERS: dict[Tower, tuple[tuple[str, ...], tuple[str, ...]]] = {  # prefixes of names with underscores, and with dots
    "only": (
        ("lora_te_", "lycoris_te_"),
        ("", "text_encoder.", "clip_l.transformer.", "text_encoders.clip_l.transformer."),
    ),
    "first": (("lora_te1_",), ("text_encoder.", "clip_l.transformer.", "text_encoders.clip_l.transformer.")),
    "second": (("lora_te2_",), ("text_encoder_2.", "clip_g.transformer.", "text_encoders.clip_g.transformer.")),
}
_TEXT = "text_model."


def unet_names(modules: Iterable[str], residual_blocks: int) -> dict[str, str]:
    """From every name that a format has for one of the UNet's `modules` to the module.

    `residual_blocks` is how many of them a level has on the way down.
    """
    own = list(modules)
    return {name: module for module in own for name in _names_of(module, diffusers_name(module, own, residual_blocks))}


def text_names(modules: Iterable[str], tower: Tower = "only") -> dict[str, str]:
    """The same for a text tower with the names of transformers, with or without the leading `text_model.`."""
    flat, dotted = _TOWERS[tower]
    names: dict[str, str] = {}
    for module in modules:
        full = _TEXT + module.removeprefix(_TEXT)
        names |= {prefix + full.replace(".", "_"): module for prefix in flat}
        names |= {prefix + full: module for prefix in dotted}
    return names


def modules_of(parameters: Iterable[str]) -> list[str]:
    """The modules that have a weight, from the names of all parameters."""
    return [name.removesuffix(".weight") for name in parameters if name.endswith(".weight")]


def diffusers_name(module: str, modules: Iterable[str], residual_blocks: int) -> str:
    """What diffusers calls a module of the UNet; `modules` are all of its kind, by which blocks are told apart."""
    if module in _ENDS:
        return _ENDS[module]
    part, number, place, rest = (*module.split(".", 3), "")[:4]
    if part == "middle_block":
        return _middle(int(number), ".".join((place, rest)).strip("."), modules)
    if part == "input_blocks":
        level, block = divmod(int(number) - 1, residual_blocks + 1)
        if rest == "op":
            return f"down_blocks.{level}.downsamplers.0.conv"
    else:
        level, block = divmod(int(number), residual_blocks + 1)
        if rest == "conv":
            return f"up_blocks.{level}.upsamplers.0.conv"
    side = "down" if part == "input_blocks" else "up"
    if place == "0":
        return f"{side}_blocks.{level}.resnets.{block}.{_RESIDUAL[rest]}"
    return f"{side}_blocks.{level}.attentions.{block}.{rest}"


def _middle(place: int, rest: str, modules: Iterable[str]) -> str:
    """The middle is two residual blocks, with a transformer between them in all published nets."""
    if rest in _RESIDUAL:
        attended = any(name.startswith("middle_block.2.") for name in modules)
        return f"mid_block.resnets.{place // 2 if attended else place}.{_RESIDUAL[rest]}"
    return f"mid_block.attentions.0.{rest}"


def _names_of(module: str, diffusers: str) -> tuple[str, ...]:
    return (
        *(f"lora_unet_{name.replace('.', '_')}" for name in (diffusers, module)),
        *(f"lycoris_unet_{name.replace('.', '_')}" for name in (diffusers, module)),
        f"lycoris_{diffusers.replace('.', '_')}",
        f"unet.{diffusers}",
        diffusers,
        f"model.diffusion_model.{module}",
        f"diffusion_model.{module}",
    )
