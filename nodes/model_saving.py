"""Files of models: checkpoints, their parts, and the difference between two as a LoRA."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.predictions import VELOCITY, Preconditioned
from engine.foundation.errors import EaselError
from engine.models.checkpoint import EDM_DEVIATION, EDM_MEAN, V_PREDICTION, ZERO_TERMINAL
from engine.models.extraction import extracted
from engine.models.saving import (
    Named,
    encoder_weights,
    image_weights,
    marker,
    serialised,
    text_weights,
    unet_weights,
    vae_weights,
)
from engine.models.text.encoder import TextEncoder
from engine.models.vae import Vae
from engine.models.vision.tower import ImageEncoder
from engine.node import PLAIN, Choice, NodeContext, Range, node

CATEGORY = "advanced/model_merging"
ALL_NOISE = 1000.0  # sigmas above are those of levels that end in nothing but noise


class SavingError(EaselError):
    """A model that cannot be written."""

    code: ClassVar[str] = "cannot_save"


@node("CheckpointSave", category=CATEGORY, display_name="Save Checkpoint", sink=True)
def save_checkpoint(
    model: Denoiser,
    clip: TextEncoder,
    vae: Vae,
    filename_prefix: str = "checkpoints/ComfyUI",
    ctx: NodeContext = PLAIN,
) -> None:
    """Write all three parts into one file of the output folder, with their LoRAs and mixtures in the weights.

    The file is laid out as the published ones of the model's family are.
    """
    _check_known(clip)
    _save([*_unet(model), *encoder_weights(clip), *vae_weights(vae.net)], filename_prefix, ctx)


@node("ImageOnlyCheckpointSave", category=CATEGORY, sink=True)
def save_image_only_checkpoint(
    model: Denoiser,
    clip_vision: ImageEncoder,
    vae: Vae,
    filename_prefix: str = "checkpoints/ComfyUI",
    ctx: NodeContext = PLAIN,
) -> None:
    """Write a model that is told by a picture (Stable Video Diffusion) with its image encoder and autoencoder."""
    _save([*_unet(model), *image_weights(clip_vision), *vae_weights(vae.net)], filename_prefix, ctx)


@node("ModelSave", category=CATEGORY, sink=True)
def save_model(model: Denoiser, filename_prefix: str = "diffusion_models/ComfyUI", ctx: NodeContext = PLAIN) -> None:
    """Write the UNet alone."""
    _save(_unet(model), filename_prefix, ctx)


@node("CLIPSave", category=CATEGORY, sink=True)
def save_encoder(clip: TextEncoder, filename_prefix: str = "clip/ComfyUI", ctx: NodeContext = PLAIN) -> None:
    """Write the text encoder alone, each tower into a file of its own: `_clip_l`, `_clip_h` (SD2), `_clip_g`."""
    _check_known(clip)
    for tower in clip.towers:
        _save(text_weights(tower.net, tower.adapters), f"{filename_prefix}_clip_{tower.recipe.name}", ctx)


@node("VAESave", category=CATEGORY, sink=True)
def save_vae(vae: Vae, filename_prefix: str = "vae/ComfyUI_vae", ctx: NodeContext = PLAIN) -> None:
    """Write the autoencoder alone."""
    _save(vae_weights(vae.net, ""), filename_prefix, ctx)


@node("LoraSave", category="_for_testing", display_name="Extract and Save Lora", sink=True)
def save_lora(
    filename_prefix: str = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, Range(1, 4096)] = 8,
    *,
    lora_type: Annotated[str, Choice("standard", "full_diff")],
    bias_diff: bool = True,
    model_diff: Denoiser | None = None,
    text_encoder_diff: TextEncoder | None = None,
    ctx: NodeContext = PLAIN,
) -> None:
    """Write what ModelMergeSubtract and CLIPMergeSubtract give as a LoRA: the nearest one of a rank, or all of it."""
    parts: list[tuple[str, Tensor]] = []
    whole = rank if lora_type == "standard" else None
    if model_diff is not None:
        parts += extracted(model_diff.net, model_diff.adapters, "diffusion_model.", whole, biases=bias_diff)
    if text_encoder_diff is not None:
        for tower in text_encoder_diff.towers:
            place = "clip_g" if tower is text_encoder_diff.second else "clip_l"
            prefix = f"text_encoders.{place}.transformer.text_model."
            parts += extracted(tower.net, tower.adapters, prefix, whole, biases=bias_diff)
    if not parts:
        ctx.warn("there is nothing to save: connect a model or a text encoder that differs from its base")
        return
    _save((Named(name, ((tensor, ()),)) for name, tensor in parts), filename_prefix, ctx)


def _check_known(clip: TextEncoder) -> None:
    """Raise `SavingError` for a text encoder that single files have no place for: BERT needs its vocabulary."""
    if clip.recipe.name == "bert":
        raise SavingError(
            "this text encoder (BERT) cannot be saved without its vocabulary",
            where="input clip",
            expected="CLIP or OpenCLIP",
            got="BERT",
            hint="Save the model alone with ModelSave, and keep the text encoder's own folder.",
        )


def _unet(model: Denoiser) -> Iterator[Named]:
    yield from unet_weights(model.net, model.adapters)
    if model.prediction is VELOCITY:
        yield marker(V_PREDICTION)
    if isinstance(model.prediction, Preconditioned) and model.latents.mean:
        yield marker(EDM_MEAN, *model.latents.mean)
        yield marker(EDM_DEVIATION, *model.latents.deviation)
    if model.levels.clock is None and model.levels.sigma_max > ALL_NOISE:
        yield marker(ZERO_TERMINAL)


def _save(weights: Iterable[Named], prefix: str, ctx: NodeContext) -> None:
    ctx.save(serialised(weights, ctx.metadata), prefix, ".safetensors")
