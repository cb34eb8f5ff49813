"""What a weight file is, told from the names and shapes of its tensors alone; file names are never looked at.

Free of torch, so that the command line answers at once. Shapes become net configurations in `configs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

from engine.foundation.errors import EaselError

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
SUPPORTED = "SD 1.x"
UNKNOWN = "unknown"


class ArchitectureError(EaselError):
    """A file whose architecture is unknown, or another one than it is used as."""

    code: ClassVar[str] = "unknown_architecture"


@dataclass(frozen=True, slots=True)
class Detection:
    """What a file is: a kind (`checkpoint`, `vae`, `lora`, ...), its family, and the facts that say so.

    For a checkpoint of an unknown family, `nearest` is the known one that it has most in common with.
    """

    kind: str
    family: str
    evidence: tuple[str, ...]
    nearest: str | None = None


def detect(shapes: Shapes) -> Detection:
    """The kind and family of a file; both `unknown` if no rule knows it."""
    for kind, family, marker in _ADD_ONS:
        found = next((name for name in shapes if marker in name), None)
        if found is not None:
            return Detection(kind, family, (f"it has a tensor {found}",))
    if f"{UNET}input_blocks.0.0.weight" in shapes:
        return _checkpoint(shapes)
    for kind, family, marker in _PARTS:
        found = next((name for name in shapes if marker in name), None)
        if found is not None:
            return Detection(kind, family, (f"it has a tensor {found}",))
    hyper = next((name for name in shapes if _HYPERNETWORK.match(name)), None)
    if hyper is not None:
        return Detection("hypernetwork", "hypernetwork", (f"it has a tensor {hyper}",))
    if _is_embedding(shapes):
        return Detection("embedding", "textual inversion", (f"it holds only vectors: {', '.join(shapes)}",))
    first = next(iter(shapes), "none")
    return Detection(UNKNOWN, UNKNOWN, (f"{len(shapes)} tensors, the first is {first}",))


# Looked for before checkpoints: a ControlNet of the first generation carries a whole checkpoint with it.
_ADD_ONS = (
    ("lora", "LoRA (kohya)", "lora_unet_"),
    ("lora", "LoRA (kohya)", "lora_te"),
    ("lora", "LoRA (PEFT)", ".lora_A."),
    ("lora", "LoRA (diffusers)", ".lora.down."),
    ("lora", "LoRA (diffusers)", "_lora.down."),
    ("lora", "LoRA (diffusers)", ".lora_linear_layer."),
    ("lora", "LoRA (kohya)", ".lora_down."),
    ("lora", "LyCORIS (LoHa)", ".hada_w1_"),
    ("lora", "LyCORIS (LoKr)", ".lokr_w"),
    ("lora", "LyCORIS (OFT)", ".oft_blocks"),
    ("controlnet", "ControlNet", "control_model."),
    ("controlnet", "ControlNet", "input_hint_block."),
    ("controlnet", "ControlNet (diffusers names)", "controlnet_cond_embedding."),
    ("ip_adapter", "IP-Adapter", "ip_adapter."),
    ("gligen", "GLIGEN", "position_net."),
)
_PARTS = (
    ("vae", "KL autoencoder", "decoder.mid.block_1.conv1.weight"),
    ("vae", "KL autoencoder (diffusers names)", "decoder.mid_block.resnets.0.conv1.weight"),
    ("unet", "UNet", "input_blocks.0.0.weight"),
    ("unet", "UNet (diffusers names)", "down_blocks.0.resnets.0.conv1.weight"),
    ("unet", "SD 3", "joint_blocks.0."),
    ("unet", "Flux", "double_blocks.0."),
    ("controlnet", "T2I-Adapter", "body.0.block1."),
    ("upscale_model", "ESRGAN", "model.1.sub.0."),
    ("upscale_model", "ESRGAN", "body.0.rdb1."),
    ("clip_vision", "CLIP vision tower", "vision_model.embeddings."),
    ("text_encoder", "CLIP text encoder", "text_model.embeddings.token_embedding.weight"),
    ("text_encoder", "T5", "encoder.block.0.layer.0.SelfAttention."),
)
_HYPERNETWORK = re.compile(r"\d+\.[01]\.linear")  # a width, keys or values, a layer
_FOLDERS = {
    "checkpoint": "checkpoints",
    "vae": "vae",
    "lora": "loras",
    "controlnet": "controlnet",
    "unet": "diffusion_models",
    "embedding": "embeddings",
    "hypernetwork": "hypernetworks",
    "gligen": "gligen",
    "upscale_model": "upscale_models",
    "clip_vision": "clip_vision",
    "text_encoder": "text_encoders",
}


_EMBEDDINGS = ("emb_params", "clip_l", "clip_g", "text_encoders_0", "text_encoders_1")


def _is_embedding(shapes: Shapes) -> bool:
    named = all(name in _EMBEDDINGS or name.startswith("string_to_param.") for name in shapes)
    return bool(shapes) and (named or len(shapes) == 1) and all(len(shape) in (1, 2) for shape in shapes.values())


# What tells the checkpoint families apart. A tuple lists every value that a family may have.
_FAMILIES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    SUPPORTED: {"channels": ("4",), "projections": ("convolutions",), "text encoder": ("CLIP", "none")},
    "SD 1.5 inpainting": {"channels": ("9",), "projections": ("convolutions",), "text encoder": ("CLIP", "none")},
    "InstructPix2Pix": {"channels": ("8",), "projections": ("convolutions",), "text encoder": ("CLIP", "none")},
    "SD 2.x": {"channels": ("4",), "projections": ("linear",), "text encoder": ("OpenCLIP", "none")},
    "SD 2.x inpainting": {"channels": ("9",), "projections": ("linear",), "text encoder": ("OpenCLIP", "none")},
    "SD 2.x depth": {"channels": ("5",), "projections": ("linear",), "text encoder": ("OpenCLIP", "none")},
    "SD x4 upscaler": {
        "channels": ("7",),
        "projections": ("linear",),
        "conditioning vector": ("class table",),
        "text encoder": ("OpenCLIP", "none"),
    },
    "Stable unCLIP": {
        "channels": ("4",),
        "projections": ("linear",),
        "conditioning vector": ("vector",),
        "middle depth": ("1",),
        "text encoder": ("OpenCLIP", "none"),
    },
    "SDXL": {
        "channels": ("4",),
        "projections": ("linear",),
        "conditioning vector": ("vector",),
        "middle depth": ("10",),
        "text encoder": ("CLIP and OpenCLIP", "none"),
    },
    "SDXL refiner": {
        "channels": ("4",),
        "projections": ("linear",),
        "conditioning vector": ("vector",),
        "middle depth": ("4",),
        "text encoder": ("OpenCLIP alone", "none"),
    },
    "Stable Video Diffusion": {
        "channels": ("8",),
        "projections": ("linear",),
        "conditioning vector": ("vector",),
        "time layers": ("yes",),
    },
}
# Facts that a family says nothing about must have these values.
_USUAL = {"conditioning vector": ("none",), "time layers": ("no",)}


def _checkpoint(shapes: Shapes) -> Detection:
    facts = _facts(shapes)
    differences = {family: _differences(facts, rule) for family, rule in _FAMILIES.items()}
    nearest = min(differences, key=lambda family: len(differences[family]))
    if differences[nearest]:
        return Detection("checkpoint", UNKNOWN, tuple(differences[nearest]), nearest)
    evidence = tuple(f"{fact}: {value}" for fact, value in facts.items())
    return Detection("checkpoint", nearest, evidence)


def _facts(shapes: Shapes) -> dict[str, str]:
    projections = {len(shape) for name, shape in shapes.items() if name.endswith("1.proj_in.weight")}
    contexts = sorted({shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")})
    middle = {name.split(".")[5] for name in shapes if name.startswith(f"{UNET}middle_block.1.transformer_blocks.")}
    return {
        "channels": str(shapes[f"{UNET}input_blocks.0.0.weight"][1]),
        "projections": "mixed"
        if len(projections) > 1
        else {4: "convolutions", 2: "linear"}.get(sum(projections), "none"),
        "context width": "/".join(str(width) for width in contexts) or "none",
        "conditioning vector": _vector(shapes),
        "middle depth": str(len(middle)),
        "time layers": "yes" if any(".time_stack." in name for name in shapes) else "no",
        "text encoder": _text_encoder(shapes),
    }


def _vector(shapes: Shapes) -> str:
    if f"{UNET}label_emb.weight" in shapes:
        return "class table"
    return "vector" if f"{UNET}label_emb.0.0.weight" in shapes else "none"


def _text_encoder(shapes: Shapes) -> str:
    """The text towers by where they are: `cond_stage_model` (SD 1 and 2) or `conditioner.embedders` (SDXL)."""
    starts = {
        f"{CLIP}text_model.": "CLIP",
        f"{CLIP}embeddings.token_embedding.": "CLIP",
        "cond_stage_model.model.": "OpenCLIP",
        "conditioner.embedders.1.model.": "CLIP and OpenCLIP",
        "conditioner.embedders.0.model.transformer.": "OpenCLIP alone",
    }
    for start, what in starts.items():
        if any(name.startswith(start) for name in shapes):
            return what
    return "another" if any(name.startswith(("cond_stage_model.", "conditioner.")) for name in shapes) else "none"


def _differences(facts: Mapping[str, str], family: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [
        f"{fact}: {facts[fact]} instead of {' or '.join(values)}"
        for fact, values in {**_USUAL, **family}.items()
        if facts[fact] not in values
    ]


def wrong_kind(path: Path, detection: Detection, expected: str) -> ArchitectureError:
    """The error for a file that is something else than `expected`: what it is, why, and where it belongs."""
    evidence = "; ".join(detection.evidence)
    got, hint = f"{_article(detection.family)} ({evidence})", ""
    if detection.kind == "checkpoint" and detection.nearest:
        got = "a checkpoint of an unknown family"
        hint = f"The nearest family is {detection.nearest}, but: {evidence}."
    elif detection.kind == "checkpoint":
        got = f"a checkpoint of {detection.family} ({evidence})"
    elif detection.kind == UNKNOWN:
        got, hint = "a file of an unknown kind", f"It has {evidence}."
    elif detection.kind in _FOLDERS:
        hint = f"It belongs in models/{_FOLDERS[detection.kind]}."
    return ArchitectureError("this file is of another kind", where=path.name, expected=expected, got=got, hint=hint)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "AEIO" else f"a {noun}"
