"""For people: which base a file is for, and what it lacks, from its tensors' names and shapes. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.models.detect import CLIP, UNET, VAE, Detection, Shapes
from engine.models.families import DEPTH, FAMILIES, TAIYI, UNCLIP
from engine.models.transformer_families import PROMPT_TOKENS, UVIT_WORDS
from engine.models.widths import FAMILIES_BY_TOKENS, IMAGE_TOWERS, TEXT_TOWERS, family_of_words, named

_ADAPTERS = {192: "SD 1.x or 2.x", 768: "SDXL"}  # channels that pictures have after their pixels were folded
_LATENTS = {4: "SD 1.x, 2.x or SDXL (4 channels)", 16: "SD 3 or Flux (16 channels)"}
_KEYS = re.compile(
    r".*attn2[._](?:processor\.)?to_k(?:_ip)?[._](?:weight|down|lora[._]?\w*\.?\w*|lora_A.*|hada_w1_b|lokr_w2_b)(?:\.weight)?"
)
_UPPER = ("up.weight", "lora_B.weight", "lora_up.weight")
_PROMPT, _PICTURES = "CLIPLoader or DualCLIPLoader", "VAELoader"


def base_of(detection: Detection, shapes: Shapes) -> str | None:
    """What a file that is no whole model belongs to, as far as its shapes say; None if they do not."""
    match detection.kind:
        case "lora" | "controlnet" | "ip_adapter" | "gligen" | "unet":
            return _of_attention(shapes) or _of_adapter(shapes)
        case "hypernetwork":
            widths = {int(name.split(".")[0]) for name in shapes if name.split(".")[0].isdigit()}
            return next((family for width, family in FAMILIES_BY_TOKENS.items() if width in widths), None)
        case "embedding":
            return family_of_words(shape[-1] for shape in shapes.values() if shape)
        case "text_encoder":
            ends = ("token_embedding.weight", "shared.weight")
            return named(TEXT_TOWERS, (shape[-1] for name, shape in shapes.items() if name.endswith(ends)))
        case "clip_vision":
            return named(IMAGE_TOWERS, (shape[-1] for name, shape in shapes.items() if name.endswith(_POSITIONS)))
        case "vae":
            return named(
                _LATENTS, (shape[1] for name, shape in shapes.items() if name.endswith("decoder.conv_in.weight"))
            )
        case _:
            return None


def missing_in(detection: Detection, shapes: Shapes) -> tuple[str, ...]:
    """What must come from somewhere else before a file can be used, a line each."""
    return tuple(_missing(detection, shapes))


_POSITIONS = ("position_embedding.weight", "positional_embedding")


def _missing(detection: Detection, shapes: Shapes) -> Iterator[str]:
    if detection.kind == "checkpoint" and detection.family in FAMILIES:
        yield from _of_checkpoint(detection.family, shapes)
    elif detection.kind == "transformer":
        if detection.family in PROMPT_TOKENS:
            yield "text encoder: load a T5 with CLIPLoader, type pixart"
        elif detection.family == UVIT_WORDS:
            yield "text encoder: load CLIP ViT-L with CLIPLoader"
        yield f"autoencoder: load one with {_PICTURES}"
    elif detection.kind == "unet":
        yield f"text encoder: load one with {_PROMPT}"
        yield f"autoencoder: load one with {_PICTURES}"
    elif detection.kind == "tiny_autoencoder":
        halves = {half: any(half in fact for fact in detection.evidence) for half in ("encoder", "decoder")}
        yield from (f"{half}: it is in a file of its own" for half, there in halves.items() if not there)
    elif detection.family == "control-lora" or "difference" in shapes:
        yield "base weights: those of the model that it is used with are taken"
    elif detection.kind == "ip_adapter":
        yield "image encoder: load one with CLIPVisionLoader"


def _of_checkpoint(family: str, shapes: Shapes) -> Iterator[str]:
    def has(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in shapes)

    if not has("cond_stage_model.", "conditioner."):
        yield f"text encoder: load one with {_PROMPT}"
    elif family.startswith("SDXL") and family != "SDXL refiner" and not has("conditioner.embedders.0."):
        yield "first text encoder (CLIP ViT-L): load both with DualCLIPLoader"
    if not has(VAE):
        yield f"autoencoder: load one with {_PICTURES}"
    if family == TAIYI and has(CLIP):
        yield "vocabulary of the text encoder: use the model's folder with DiffusersLoader"
    if family == DEPTH and not has("depth_model."):
        yield "depth net: give DepthConditioning a depth map from elsewhere"
    if family == UNCLIP and not has("embedder."):
        yield "image encoder: load one with CLIPVisionLoader"


def _of_attention(shapes: Shapes) -> str | None:
    """By the width of the tokens that keys of cross-attention are made of."""
    widths = (
        shape[1] for name, shape in shapes.items()
        if len(shape) > 1 and _KEYS.fullmatch(name) and not name.endswith(_UPPER) and ".up." not in name
    )  # fmt: skip
    found = named(FAMILIES_BY_TOKENS, widths)
    if found is None and any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in shapes):
        return "SDXL"
    return found


def _of_adapter(shapes: Shapes) -> str | None:
    first = ("conv_in.weight", "body.0.in_conv.weight")
    if any(name.startswith(UNET) for name in shapes):
        return None
    return named(_ADAPTERS, (shape[1] for name, shape in shapes.items() if name.endswith(first) and len(shape) == 4))
