"""Loaders: checkpoints and autoencoders from the model folders."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.foundation.errors import EaselError
from engine.models.checkpoint import load_checkpoint, load_vae
from engine.models.text.embeddings import read_embedding
from engine.models.text.encoder import TextEncoder
from engine.models.vae import Vae
from engine.node import PLAIN, Files, NodeContext, node

EMBEDDING_SUFFIXES = ("", ".safetensors", ".pt", ".bin")


class IncompleteCheckpointError(EaselError):
    """A checkpoint without one of the parts that were asked for."""

    code: ClassVar[str] = "incomplete_checkpoint"


@node("CheckpointLoaderSimple", category="loaders", display_name="Load Checkpoint")
def load_checkpoint_simple(
    ckpt_name: Annotated[str, Files("checkpoints")], ctx: NodeContext = PLAIN
) -> tuple[Denoiser, TextEncoder, Vae]:
    """Load a checkpoint file: the denoiser, its text encoder and its autoencoder."""

    def embedding(name: str) -> tuple[Tensor, ...] | None:
        for suffix in EMBEDDING_SUFFIXES:
            try:
                return read_embedding(ctx.file("embeddings", name + suffix))
            except EaselError as error:
                if error.code != "missing_file":
                    raise
        return None

    path = ctx.file("checkpoints", ckpt_name)
    checkpoint = load_checkpoint(path, ctx.device, embedding)
    if checkpoint.text_encoder is None or checkpoint.vae is None:
        part = "text encoder" if checkpoint.text_encoder is None else "autoencoder (VAE)"
        raise IncompleteCheckpointError(
            f"this checkpoint has no {part}", where=ckpt_name, hint="Use a checkpoint that holds all three parts."
        )
    return denoiser_of(checkpoint), checkpoint.text_encoder, checkpoint.vae


@node("VAELoader", category="loaders", display_name="Load VAE")
def load_vae_file(vae_name: Annotated[str, Files("vae")], ctx: NodeContext = PLAIN) -> Vae:
    """Load an autoencoder from a file of its own, to use instead of a checkpoint's."""
    return load_vae(ctx.file("vae", vae_name), ctx.device)
