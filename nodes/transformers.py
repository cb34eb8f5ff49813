"""Models whose net is a transformer: loaders, and what such nets are asked for: a class of pictures, or a text."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch

from engine.diffusion.combining import CLASSIFIER_FREE
from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.extras import check_class
from engine.models.labels import NO_CLASS, LabelError, class_number, imagenet_names
from engine.models.text.encoder import PromptEncoder
from engine.models.transformer_families import ALPHA, SIGMA
from engine.models.transformer_folder import load_transformer_folder
from engine.models.transformers import load_transformer
from engine.models.vae import Vae
from engine.node import PLAIN, Choice, Files, NodeContext, Range, Text, node
from engine.tensors.values import Conditioning, Extras, Prompt, Sizes
from nodes.families import with_extras
from nodes.loaders import IncompleteCheckpointError

FIRST_THREE, ALL = "first three", "all"
DETECTED = "detected"
IMAGENET = (NO_CLASS, *(f"{name} ({number})" for number, name in enumerate(imagenet_names())))
"""The names of ImageNet's classes, each with its number, as some names stand for two classes."""

NetName = Annotated[str, Files("diffusion_models")]
GuidedChannels = Annotated[str, Choice(FIRST_THREE, ALL)]
Pixels = Annotated[int, Range(0, 16384)]


@node("DiTLoader", category="advanced/loaders", display_name="Load DiT or U-ViT")
def load_dit(dit_name: NetName, guided_channels: GuidedChannels = FIRST_THREE, ctx: NodeContext = PLAIN) -> Denoiser:
    """Load a class-conditional transformer (DiT, U-ViT) from a file of its own.

    DiT was published with guidance in the first three of a latent's four channels; diffusers guides all of them.
    """
    return _guided(denoiser_of(load_transformer(ctx.file("diffusion_models", dit_name), ctx.device)), guided_channels)


@node("DiTFolderLoader", category="advanced/loaders", display_name="Load DiT folder")
def load_dit_folder(
    model_path: Annotated[str, Files("diffusers")],
    guided_channels: GuidedChannels = FIRST_THREE,
    ctx: NodeContext = PLAIN,
) -> tuple[Denoiser, Vae]:
    """Load a DiT from a folder in diffusers' form: the denoiser, which knows the folder's names of classes, and its
    autoencoder.
    """
    checkpoint, _ = load_transformer_folder(ctx.file("diffusers", model_path).parent, ctx.device)
    if checkpoint.vae is None:
        raise IncompleteCheckpointError("this folder has no autoencoder (VAE)", where=model_path)
    return _guided(denoiser_of(checkpoint), guided_channels), checkpoint.vae


@node("PixArtLoader", category="advanced/loaders", display_name="Load PixArt")
def load_pixart(
    pixart_name: NetName, version: Annotated[str, Choice(DETECTED, ALPHA, SIGMA)] = DETECTED, ctx: NodeContext = PLAIN
) -> Denoiser:
    """Load a PixArt net from a file of its own.

    Files in diffusers' names do not always say whether they are alpha or sigma, whose latents differ: sigma's are
    SDXL's.
    """
    family = None if version == DETECTED else version
    return denoiser_of(load_transformer(ctx.file("diffusion_models", pixart_name), ctx.device, family=family))


@node("ImageNetLabel", category="conditioning", display_name="ImageNet label")
def imagenet_label(label: Annotated[str, Choice(*IMAGENET)] = IMAGENET[1]) -> Conditioning:
    """A class of ImageNet for models that paint classes (DiT, U-ViT); "none" for what not to paint."""
    return _class(None if label == NO_CLASS else int(label.rpartition("(")[2].rstrip(")")))


@node("DiTClassLabel", category="conditioning", display_name="Class label")
def class_label(model: Denoiser, label: Annotated[str, Text()] = "golden retriever") -> Conditioning:
    """A class that a model paints, by any of its names or by its number; "none" for what not to paint.

    The names are those of the model's folder, or ImageNet's.
    """
    extras = model.extras
    if extras.vector != "class":
        raise LabelError(
            "this model paints what words say and knows no classes",
            where="input model",
            expected="a class-conditional model (DiT, U-ViT)",
            hint="Encode a text with its text encoder.",
        )
    number = class_number(label, extras.names)
    check_class(number, extras.width, "input label")
    return _class(number)


@node("CLIPTextEncodePixArtAlpha", category="advanced/conditioning")
def encode_pixart_alpha(
    width: Pixels = 1024,
    height: Pixels = 1024,
    *,
    text: Annotated[str, Text(multiline=True, dynamic_prompts=True)],
    clip: PromptEncoder,
) -> Conditioning:
    """Encode a text for PixArt-alpha at 1024 pixels, which is told the size of the picture; PixArt-sigma is not."""
    return with_extras(clip.encode(text), sizes=Sizes(height, width, 0, 0, height, width))


def _class(number: int | None) -> Conditioning:
    """A prompt without words; see `Extras.label`."""
    return Conditioning((Prompt(torch.zeros(1, 1, 0), extras=Extras(label=number)),))


def _guided(model: Denoiser, channels: str) -> Denoiser:
    return model if channels == FIRST_THREE else replace(model, guidance=CLASSIFIER_FREE)
