"""What a weight file is, told from the names and shapes of its tensors alone; file names are never looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.foundation.errors import EaselError
from engine.models.nets.autoencoder import AutoencoderConfig
from engine.models.nets.unet import UNetConfig

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
SUPPORTED = "SD 1.x"


class ArchitectureError(EaselError):
    """A file whose architecture is unknown, or another one than it is used as."""

    code: ClassVar[str] = "unknown_architecture"


@dataclass(frozen=True, slots=True)
class Detection:
    """What a file is: a kind (`checkpoint`, `vae`, `lora`, ...), its family, and the facts that say so."""

    kind: str
    family: str
    evidence: tuple[str, ...]


def detect(shapes: Shapes) -> Detection:
    """The kind and family of a file; `unknown` if no rule knows it."""
    if f"{UNET}input_blocks.0.0.weight" in shapes:
        return _detect_checkpoint(shapes)
    for kind, marker, what in _OTHERS:
        found = next((name for name in shapes if marker in name), None)
        if found is not None:
            return Detection(kind, what, (f"it has a tensor {found}",))
    return Detection("unknown", "unknown", (f"{len(shapes)} tensors, the first is {next(iter(shapes), 'none')}",))


_OTHERS = (
    ("lora", "lora_unet_", "LoRA (kohya)"),
    ("lora", "lora_te", "LoRA (kohya, text encoder)"),
    ("lora", ".lora_A.", "LoRA (PEFT)"),
    ("lora", "lora.down", "LoRA (diffusers)"),
    ("controlnet", "control_model.", "ControlNet"),
    ("controlnet", "controlnet_cond_embedding.", "ControlNet (diffusers)"),
    ("controlnet", "input_hint_block.", "ControlNet"),
    ("embedding", "emb_params", "textual inversion"),
    ("vae", "decoder.mid.block_1.conv1.weight", "KL autoencoder"),
    ("vae", "decoder.mid_block.resnets.0.conv1.weight", "KL autoencoder (diffusers names)"),
    ("unet", "down_blocks.0.resnets.0.conv1.weight", "UNet (diffusers names)"),
    ("text encoder", "text_model.embeddings.token_embedding.weight", "CLIP text encoder"),
)


def _detect_checkpoint(shapes: Shapes) -> Detection:
    channels = shapes[f"{UNET}input_blocks.0.0.weight"][1]
    context = next((shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")), None)
    linear = any(name.endswith("proj_in.weight") and len(shape) == 2 for name, shape in shapes.items())
    evidence = [f"the UNet takes {channels} channels", f"its context has width {context}"]
    if any(name.startswith("conditioner.embedders.") for name in shapes):
        family, fact = "SDXL", "text encoders under conditioner.embedders"
    elif f"{UNET}label_emb.0.0.weight" in shapes:
        family, fact = "Stable unCLIP", "a conditioning vector (label_emb)"
    elif any(name.startswith("cond_stage_model.model.") for name in shapes) or linear:
        family, fact = "SD 2.x", "an OpenCLIP text encoder or linear projections"
    elif context is None:
        family, fact = "unknown", "no cross-attention"
    else:
        family, fact = SUPPORTED, "1x1 convolutions as projections"
    if family == SUPPORTED and channels != 4:
        family = {9: "SD 1.5 inpainting", 8: "InstructPix2Pix"}.get(channels, "unknown")
    return Detection("checkpoint", family, (*evidence, fact))


def unet_config(shapes: Shapes, prefix: str = UNET, *, where: str = "") -> UNetConfig:
    """The shape of a UNet of the Stable Diffusion family, of any width and depth.

    Raises `ArchitectureError` naming the tensor that does not fit.
    """
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    first, last = (_shape(own, name, where) for name in ("input_blocks.0.0.weight", "out.2.weight"))
    width = first[0]
    mults, depths, blocks = [], [], []
    block = 1
    while any(name.startswith(f"input_blocks.{block}.") for name in own):
        if f"input_blocks.{block}.0.op.weight" in own:
            blocks.append(0)
        else:
            out = _shape(own, f"input_blocks.{block}.0.in_layers.2.weight", where)[0]
            if not blocks:
                blocks.append(0)
            if blocks[-1] == 0:
                mults.append(out // width)
                depths.append(_depth(own, f"input_blocks.{block}.1"))
            blocks[-1] += 1
        block += 1
    if not blocks or len(set(blocks)) != 1 or len(mults) != len(blocks):
        raise ArchitectureError("the UNet's levels are uneven", where=where, got=f"{blocks} residual blocks a level")
    projections = [shape for name, shape in own.items() if name.endswith("proj_in.weight")]
    linear = any(len(shape) == 2 for shape in projections)
    contexts = {shape[1] for name, shape in own.items() if name.endswith("attn2.to_k.weight")}
    return UNetConfig(
        in_channels=first[1],
        out_channels=last[0],
        model_channels=width,
        channel_mult=tuple(mults),
        num_res_blocks=blocks[0],
        transformer_depth=tuple(depths),
        middle_depth=_depth(own, "middle_block.1"),
        context_channels=min(contexts, default=768),
        num_heads=None if linear else 8,
        head_channels=64 if linear else None,
        linear_projection=linear,
        vector_channels=own["label_emb.0.0.weight"][1] if "label_emb.0.0.weight" in own else None,
    )


def autoencoder_config(shapes: Shapes, prefix: str = VAE, *, where: str = "") -> AutoencoderConfig:
    """The shape of a KL autoencoder. Raises `ArchitectureError` naming the tensor that is missing."""
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    first = _shape(own, "encoder.conv_in.weight", where)
    levels = _count(own, "encoder.down.{}.block.0.conv1.weight")
    widths = [_shape(own, f"encoder.down.{level}.block.0.conv1.weight", where)[0] for level in range(levels)]
    return AutoencoderConfig(
        in_channels=first[1],
        out_channels=_shape(own, "decoder.conv_out.weight", where)[0],
        channels=first[0],
        channel_mult=tuple(width // first[0] for width in widths),
        num_res_blocks=_count(own, "encoder.down.0.block.{}.conv1.weight"),
        latent_channels=_shape(own, "decoder.conv_in.weight", where)[1],
    )


def _depth(shapes: Shapes, block: str) -> int:
    return _count(shapes, block + ".transformer_blocks.{}.norm1.weight")


def _count(shapes: Shapes, pattern: str) -> int:
    number = 0
    while pattern.format(number) in shapes:
        number += 1
    return number


def _shape(shapes: Shapes, name: str, where: str) -> tuple[int, ...]:
    if name not in shapes:
        raise ArchitectureError("a tensor is missing", where=where, expected=name, hint="Is the file of another kind?")
    return shapes[name]
