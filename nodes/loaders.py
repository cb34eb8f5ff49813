"""Loaders: checkpoints, and each of their parts from files and folders of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.foundation.errors import EaselError
from engine.memory.handle import ModelHandle
from engine.memory.precision import HOST
from engine.models.checkpoint import Checkpoint, load_checkpoint, load_vae
from engine.models.declared import declared_prediction
from engine.models.folder import IMAGE_ENCODER, load_folder, load_folder_image_encoder
from engine.models.latent_rgb import FAMILIES
from engine.models.nets.tiny_autoencoder import PixelSpace
from engine.models.text.captions import load_captions
from engine.models.text.embeddings import read_embedding
from engine.models.text.encoder import Embeddings, PromptEncoder, TextEncoder
from engine.models.text.files import load_text_encoder
from engine.models.tiny_autoencoder import load_tiny_vae
from engine.models.transformer_folder import has_transformer, load_transformer_folder
from engine.models.transformers import load_diffusion_net
from engine.models.vae import Vae
from engine.models.vision.tower import ImageEncoder, has_image_encoder, load_image_encoder
from engine.node import PLAIN, Choice, Files, NodeContext, node

EMBEDDING_SUFFIXES = ("", ".safetensors", ".pt", ".bin")
TINY = {family.tiny: family.scale_factor for family in FAMILIES if family.tiny in ("taesd", "taesdxl")}
TINY_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
PIXELS = "pixel_space"
STORED = {
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}
# The community's lists; types of families that are not supported are refused when they are used.
CLIP_TYPES = (
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2", "wan",
    "hidream", "chroma", "ace", "omnigen2", "qwen_image", "hunyuan_image", "flux2", "ovis",
)  # fmt: skip
DUAL_TYPES = (
    "sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image", "hunyuan_video_15", "kandinsky5",
    "kandinsky5_image", "ltxv", "newbie",
)  # fmt: skip

CheckpointName = Annotated[str, Files("checkpoints")]
ClipName = Annotated[str, Files("text_encoders")]
PIXART = "pixart"

Encoder = TypeVar("Encoder", bound=PromptEncoder)
Device = Annotated[str, Choice("default", "cpu")]


class IncompleteCheckpointError(EaselError):
    """A checkpoint without one of the parts that were asked for."""

    code: ClassVar[str] = "incomplete_checkpoint"


@node("CheckpointLoaderSimple", category="loaders", display_name="Load Checkpoint")
def load_checkpoint_simple(ckpt_name: CheckpointName, ctx: NodeContext = PLAIN) -> tuple[Denoiser, TextEncoder, Vae]:
    """Load a checkpoint file: the denoiser, its text encoder and its autoencoder."""
    path = ctx.file("checkpoints", ckpt_name)
    return _parts(load_checkpoint(path, ctx.device, embeddings(ctx)), ckpt_name)


@node(
    "CheckpointLoader",
    category="advanced/loaders",
    display_name="Load Checkpoint With Config (DEPRECATED)",
    deprecated=True,
)
def load_checkpoint_with_config(
    config_name: Annotated[str, Files("configs")], ckpt_name: CheckpointName, ctx: NodeContext = PLAIN
) -> tuple[Denoiser, TextEncoder, Vae]:
    """Load a checkpoint file whose configuration says what it predicts; all else is seen in the checkpoint."""
    prediction = declared_prediction(ctx.file("configs", config_name))
    path = ctx.file("checkpoints", ckpt_name)
    return _parts(load_checkpoint(path, ctx.device, embeddings(ctx), prediction=prediction), ckpt_name)


@node("unCLIPCheckpointLoader", category="loaders")
def load_unclip(ckpt_name: CheckpointName, ctx: NodeContext = PLAIN) -> tuple[Denoiser, TextEncoder, Vae, ImageEncoder]:
    """Load a checkpoint that is shown pictures (Stable unCLIP), with its image encoder."""
    path = ctx.file("checkpoints", ckpt_name)
    parts = _parts(load_checkpoint(path, ctx.device, embeddings(ctx)), ckpt_name)
    return (*parts, load_image_encoder(path, ctx.device))


@node(
    "ImageOnlyCheckpointLoader",
    category="loaders/video_models",
    display_name="Image Only Checkpoint Loader (img2vid model)",
)
def load_image_only(ckpt_name: CheckpointName, ctx: NodeContext = PLAIN) -> tuple[Denoiser, ImageEncoder, Vae]:
    """Load a checkpoint that is told by a picture and not by words (Stable Video Diffusion), with its image encoder."""
    path = ctx.file("checkpoints", ckpt_name)
    checkpoint = load_checkpoint(path, ctx.device)
    if not has_image_encoder(path):
        raise _incomplete("image encoder (CLIP vision)", checkpoint, ckpt_name)
    return denoiser_of(checkpoint), load_image_encoder(path, ctx.device), _vae(checkpoint, ckpt_name)


@node("EaselImageOnlyFolderLoader", category="loaders/video_models", display_name="Load Video Model Folder")
def load_image_only_folder(
    model_path: Annotated[str, Files("diffusers")], ctx: NodeContext = PLAIN
) -> tuple[Denoiser, ImageEncoder, Vae]:
    """Load a model that is told by a picture (Stable Video Diffusion) from a folder in diffusers' form."""
    folder = ctx.file("diffusers", model_path).parent
    checkpoint = load_folder(folder, ctx.device)
    if not (folder / IMAGE_ENCODER).is_dir():
        raise _incomplete("image encoder (CLIP vision)", checkpoint, model_path)
    return denoiser_of(checkpoint), load_folder_image_encoder(folder, ctx.device), _vae(checkpoint, model_path)


@node("DiffusersLoader", category="advanced/loaders/deprecated")
def load_diffusers(
    model_path: Annotated[str, Files("diffusers")], ctx: NodeContext = PLAIN
) -> tuple[Denoiser, PromptEncoder, Vae]:
    """Load a model from a folder in diffusers' form: the denoiser, its text encoder and its autoencoder.

    DiT, which has no text encoder, is for DiTFolderLoader.
    """
    folder = ctx.file("diffusers", model_path).parent
    if has_transformer(folder):
        return _whole(*load_transformer_folder(folder, ctx.device), model_path)
    return _parts(load_folder(folder, ctx.device, embeddings(ctx)), model_path)


@node("UNETLoader", category="advanced/loaders", display_name="Load Diffusion Model")
def load_diffusion_model(
    unet_name: Annotated[str, Files("diffusion_models")],
    weight_dtype: Annotated[str, Choice("default", *STORED)],
    ctx: NodeContext = PLAIN,
) -> Denoiser:
    """Load a net (UNet, DiT, PixArt or U-ViT) from a file of its own.

    The fp8 types round its weights; it computes in the usual type.
    """
    path = ctx.file("diffusion_models", unet_name)
    return denoiser_of(load_diffusion_net(path, ctx.device, stored=STORED.get(weight_dtype)))


@node("CLIPLoader", category="advanced/loaders", display_name="Load CLIP")
def load_clip(
    clip_name: ClipName,
    type: Annotated[str, Choice(*CLIP_TYPES)],  # noqa: A002  # the name of saved workflows
    device: Device | None = None,
    ctx: NodeContext = PLAIN,
) -> PromptEncoder:
    """Load a text encoder from a file of its own: CLIP (SD 1 and 2, SDXL's refiner), or T5 with its tokenizer (PixArt).

    The tokenizer of a T5 (`tokenizer.json` or `spiece.model`) lies in a folder called like its file, or beside it.
    """
    return _clip([clip_name], type, device, ctx)


@node("DualCLIPLoader", category="advanced/loaders")
def load_dual_clip(
    clip_name1: ClipName,
    clip_name2: ClipName,
    type: Annotated[str, Choice(*DUAL_TYPES)],  # noqa: A002
    device: Device | None = None,
    ctx: NodeContext = PLAIN,
) -> PromptEncoder:
    """Load SDXL's pair of text encoders from two files, in any order."""
    return _clip([clip_name1, clip_name2], type, device, ctx)


@node("CLIPVisionLoader", category="loaders", display_name="Load CLIP Vision")
def load_clip_vision(clip_name: Annotated[str, Files("clip_vision")], ctx: NodeContext = PLAIN) -> ImageEncoder:
    """Load an image encoder."""
    return load_image_encoder(ctx.file("clip_vision", clip_name), ctx.device)


@node("VAELoader", category="loaders", display_name="Load VAE")
def load_vae_file(vae_name: Annotated[str, Files("vae", options=(*TINY, PIXELS))], ctx: NodeContext = PLAIN) -> Vae:
    """Load an autoencoder from a file of its own, to use instead of a checkpoint's.

    `taesd` and `taesdxl` are the tiny ones in models/vae_approx; `pixel_space` is for models that work on pixels.
    """
    if vae_name == PIXELS:
        return Vae(ModelHandle(PixelSpace(), ctx.device), 1, 3)
    if vae_name in TINY:
        encoder, decoder = (_tiny(vae_name, half, ctx) for half in ("encoder", "decoder"))
        if encoder is None and decoder is None:
            raise IncompleteCheckpointError(
                "this tiny autoencoder has no file",
                where=f"{vae_name}, input vae_name",
                expected=f"{vae_name}_encoder, {vae_name}_decoder or {vae_name} in models/vae_approx",
                hint="Download it, or choose the VAE of a checkpoint.",
            )
        return load_tiny_vae(encoder, decoder, TINY[vae_name], ctx.device)
    return load_vae(ctx.file("vae", vae_name), ctx.device)


def embeddings(ctx: NodeContext) -> Embeddings:
    """A look-up of textual inversions in the model folders, with or without the suffix of their files."""

    def embedding(name: str) -> tuple[Tensor, ...] | None:
        path = _first(ctx, "embeddings", [name + suffix for suffix in EMBEDDING_SUFFIXES])
        return None if path is None else read_embedding(path)

    return embedding


def _parts(checkpoint: Checkpoint, name: str) -> tuple[Denoiser, TextEncoder, Vae]:
    return _whole(checkpoint, checkpoint.text_encoder, name)


def _whole(checkpoint: Checkpoint, text_encoder: Encoder | None, name: str) -> tuple[Denoiser, Encoder, Vae]:
    if text_encoder is None:
        raise _incomplete("text encoder", checkpoint, name)
    return denoiser_of(checkpoint), text_encoder, _vae(checkpoint, name)


def _vae(checkpoint: Checkpoint, name: str) -> Vae:
    if checkpoint.vae is None:
        raise _incomplete("autoencoder (VAE)", checkpoint, name)
    return checkpoint.vae


def _incomplete(part: str, checkpoint: Checkpoint, name: str) -> IncompleteCheckpointError:
    """What to say of a checkpoint that lacks a part: perhaps it is of a family that has none."""
    hint = "Use a checkpoint that holds all three parts, or load them apart: UNETLoader, CLIPLoader, VAELoader."
    told = checkpoint.family.vector == "motion"
    if part == "text encoder" and told:
        hint = "It is told by a picture: load it with ImageOnlyCheckpointLoader."
    elif part.startswith("image encoder"):
        hint = (
            "Load the encoder apart with CLIPVisionLoader."
            if told
            else "It is told by words: see CheckpointLoaderSimple."
        )
    got = f"a checkpoint of {checkpoint.family.name}"
    return IncompleteCheckpointError(f"this checkpoint has no {part}", where=name, got=got, hint=hint)


def _clip(names: Sequence[str], family: str, device: str | None, ctx: NodeContext) -> PromptEncoder:
    where = HOST if device == "cpu" else ctx.device
    paths = [ctx.file("text_encoders", name) for name in names]
    return (
        load_captions(paths[0], where) if family == PIXART else load_text_encoder(paths, where, embeddings(ctx), family)
    )


def _tiny(name: str, half: str, ctx: NodeContext) -> Path | None:
    """The file of a half of a tiny autoencoder, or of both."""
    return _first(ctx, "vae_approx", [stem + suffix for stem in (f"{name}_{half}", name) for suffix in TINY_SUFFIXES])


def _first(ctx: NodeContext, kind: str, names: Sequence[str]) -> Path | None:
    """The first of `names` that there is a file of."""
    for name in names:
        try:
            return ctx.file(kind, name)
        except EaselError as error:
            if error.code != "missing_file":
                raise
    return None
