"""Files of models: checkpoints, their parts, and the difference between two as a LoRA."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.predictions import VELOCITY
from engine.foundation.errors import EaselError
from engine.models.extraction import extracted
from engine.models.saving import Named, serialised, text_weights, unet_weights, vae_weights
from engine.models.text.encoder import TextEncoder
from engine.models.vae import Vae
from engine.node import PLAIN, Choice, NodeContext, Range, node

CATEGORY = "advanced/model_merging"


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
    """Write all three parts into one file of the output folder, with their LoRAs and mixtures in the weights."""
    _check_alone(clip)
    _save([*_unet(model), *text_weights(clip.net, clip.adapters), *vae_weights(vae.net)], filename_prefix, ctx)


@node("ModelSave", category=CATEGORY, sink=True)
def save_model(model: Denoiser, filename_prefix: str = "diffusion_models/ComfyUI", ctx: NodeContext = PLAIN) -> None:
    """Write the UNet alone."""
    _save(_unet(model), filename_prefix, ctx)


@node("CLIPSave", category=CATEGORY, sink=True)
def save_encoder(clip: TextEncoder, filename_prefix: str = "clip/ComfyUI", ctx: NodeContext = PLAIN) -> None:
    """Write the text encoder alone."""
    _check_alone(clip)
    _save(text_weights(clip.net, clip.adapters, ""), f"{filename_prefix}_clip_l", ctx)


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
        clip = text_encoder_diff
        parts += extracted(
            clip.net, clip.adapters, "text_encoders.clip_l.transformer.text_model.", whole, biases=bias_diff
        )
    if not parts:
        ctx.warn("there is nothing to save: connect a model or a text encoder that differs from its base")
        return
    _save(((name, tensor, ()) for name, tensor in parts), filename_prefix, ctx)


def _check_alone(clip: TextEncoder) -> None:
    """Raise `SavingError` unless a text encoder is SD1's: the others have layouts that are not written yet."""
    if clip.second is not None or clip.recipe.name != "l":
        raise SavingError(
            "text encoders of this family cannot be saved",
            where="input clip",
            expected="one of SD 1.x",
            got="two towers" if clip.second is not None else "OpenCLIP" if clip.recipe.name != "bert" else "BERT",
            hint="Save the model alone with ModelSave, and keep the text encoder's own file.",
        )


def _unet(model: Denoiser) -> Iterator[Named]:
    return unet_weights(model.net, model.adapters, velocity=model.prediction is VELOCITY)


def _save(weights: Iterable[Named], prefix: str, ctx: NodeContext) -> None:
    ctx.save(serialised(weights, ctx.metadata), prefix, ".safetensors")
