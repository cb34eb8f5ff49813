"""Pictures as prompts: IP-Adapter and style models."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.models.control.errors import ControlError
from engine.models.control.ip_adapter import (
    IPAdapterModel,
    PicturePrompt,
    Place,
    layout_places,
    load_ip_adapter,
    style_places,
)
from engine.models.control.style import StyleModel, TokenBias, load_style_model
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.vision.tower import ImageEncoder, ImageStates
from engine.models.widths import family_of_tokens
from engine.node import PLAIN, Choice, Files, Fraction, NodeContext, Range, node
from engine.tensors.values import Conditioning, Image, Mask, Prompt

LINEAR, STYLE, COMPOSITION, BOTH = "linear", "style transfer", "composition", "style and composition"
SDXL_LEVELS = 3


@node("StyleModelLoader", category="loaders", display_name="Load Style Model")
def load_style(style_model_name: Annotated[str, Files("style_models")], ctx: NodeContext = PLAIN) -> StyleModel:
    """Load a style model."""
    return load_style_model(ctx.file("style_models", style_model_name), ctx.device)


@node("StyleModelApply", category="conditioning/style_model", display_name="Apply Style Model")
def apply_style(
    conditioning: Conditioning,
    style_model: StyleModel,
    clip_vision_output: ImageStates,
    strength: Annotated[float, Range(0.0, 10.0, step=0.001)] = 1.0,
    *,
    strength_type: Annotated[str, Choice("multiply", "attn_bias")],
) -> Conditioning:
    """Put a picture's style behind a prompt's tokens: multiplied by the strength, or attended to that much more."""
    tokens = style_model.tokens(clip_vision_output).flatten(0, 1)[None]
    if strength_type == "multiply":
        tokens = tokens * strength

    def styled(prompt: Prompt) -> Prompt:
        if prompt.tokens.shape[-1] != tokens.shape[-1]:
            raise ControlError(
                "this style model is for another base model",
                where=f"{style_model.name}, input style_model",
                expected=f"one for {family_of_tokens(prompt.tokens.shape[-1])}",
                got=f"one for {family_of_tokens(tokens.shape[-1])}",
                hint="Load a style model made for the checkpoint, or a checkpoint of its family.",
            )
        both = torch.cat([prompt.tokens, tokens.expand(len(prompt.tokens), -1, -1)], dim=1)
        if strength_type == "multiply" or strength == 1.0:
            return replace(prompt, tokens=both)
        bias = TokenBias(tokens.shape[1], both.shape[1], strength)
        return replace(prompt, tokens=both, controls=(*prompt.controls, bias))

    return Conditioning(tuple(styled(prompt) for prompt in conditioning.prompts))


@node("IPAdapterModelLoader", category="ipadapter/loaders", display_name="IPAdapter Model Loader")
def load_ip_adapter_file(
    ipadapter_file: Annotated[str, Files("ipadapter")], ctx: NodeContext = PLAIN
) -> IPAdapterModel:
    """Load an IP-Adapter: plain, plus or full, for SD1 or SDXL."""
    return load_ip_adapter(ctx.file("ipadapter", ipadapter_file), ctx.device)


@node("IPAdapterAdvanced", category="ipadapter", display_name="IPAdapter Advanced")
def apply_ip_adapter(
    model: Denoiser,
    ipadapter: IPAdapterModel,
    image: Image,
    weight: Annotated[float, Range(-1.0, 5.0, step=0.05)] = 1.0,
    weight_type: Annotated[str, Choice(LINEAR, STYLE, COMPOSITION, BOTH)] = LINEAR,
    combine_embeds: Annotated[str, Choice("concat", "average")] = "concat",
    start_at: Fraction = 0.0,
    end_at: Fraction = 1.0,
    embeds_scaling: Annotated[str, Choice("V only", "K+V")] = "V only",
    image_negative: Image | None = None,
    attn_mask: Mask | None = None,
    clip_vision: ImageEncoder | None = None,
) -> Denoiser:
    """Let pictures be prompts. Several are all looked at, or their tokens averaged.

    Style transfer and composition use the layers of SDXL that are about either. A mask says where it counts.
    """
    if weight == 0:
        return model
    if clip_vision is None:
        raise ControlError(
            "an image encoder is missing",
            where=f"IPAdapterAdvanced with {ipadapter.name}, input clip_vision",
            expected="a CLIP vision model",
            hint="Connect the node CLIPVisionLoader.",
        )
    negative = clip_vision.nothing() if image_negative is None else clip_vision.encode(image_negative)
    seen = ipadapter.tokens(clip_vision.encode(image))
    if image_negative is None and not ipadapter.wants_states:
        away = ipadapter.tokens(replace(negative, embeddings=torch.zeros_like(negative.embeddings)))
    else:
        away = ipadapter.tokens(negative)
    with model.net.look() as net:
        if not isinstance(net, UNet):
            raise ControlError(
                "this net takes no picture prompts",
                where=f"IPAdapterAdvanced with {ipadapter.name}, input model",
                expected="a model with a UNet",
                got=f"a {type(net).__name__}",
            )
        places = _places(net.config, weight_type)
    prompt = PicturePrompt(
        ipadapter,
        _combined(seen, combine_embeds),
        _combined(away, combine_embeds),
        weight,
        model.levels.sigma_at(end_at),
        model.levels.sigma_at(start_at),
        None if attn_mask is None else attn_mask.reshape(-1, *attn_mask.shape[-2:]),
        embeds_scaling == "K+V",
        places,
    )
    return model.with_patches(prompt)


def _combined(tokens: Tensor, how: str) -> Tensor:
    return tokens.flatten(0, 1)[None] if how == "concat" else tokens.mean(dim=0, keepdim=True)


def _places(config: UNetConfig, weight_type: str) -> frozenset[Place] | None:
    if weight_type == LINEAR:
        return None
    if len(config.channel_mult) != SDXL_LEVELS:
        raise ControlError(
            "only SDXL has layers that are about style or composition",
            where="IPAdapterAdvanced, input weight_type",
            expected=f"{LINEAR} for this model",
            got=weight_type,
        )
    style, layout = style_places(config), layout_places(config)
    return {STYLE: style, COMPOSITION: layout}.get(weight_type, style | layout)
