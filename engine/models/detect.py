"""What a weight file is, told from the names and shapes of its tensors alone; file names are never looked at.

Free of torch, so that the command line answers at once. Shapes become net configurations in `configs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeAlias

from engine.foundation.errors import EaselError
from engine.models.families import FAMILIES, USUAL, Family
from engine.models.transformer_families import TRANSFORMERS, family_differences, transformer_facts

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
TIME_LAYERS = ".time_stack."
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
    transformer = _transformer(shapes)
    if transformer is not None:
        return transformer
    for kind, family, marker in _PARTS:
        found = next((name for name in shapes if marker in name), None)
        if found is not None:
            return Detection(kind, family, (f"it has a tensor {found}",))
    if len(shapes.get("body.0.weight", ())) == 4 and len(shapes.get("body.1.weight", ())) == 1:
        return Detection("upscale_model", "Real-ESRGAN (compact)", ("it has a tensor body.0.weight",))
    tiny = _tiny_halves(shapes)
    if tiny:
        return Detection("tiny_autoencoder", "TAESD", tiny)
    hyper = next((name for name in shapes if _HYPERNETWORK.match(name)), None)
    if hyper is not None:
        return Detection("hypernetwork", "hypernetwork", (f"it has a tensor {hyper}",))
    if _is_embedding(shapes):
        return Detection("embedding", "textual inversion", (f"it holds only vectors: {', '.join(shapes)}",))
    first = next(iter(shapes), "none")
    return Detection(UNKNOWN, UNKNOWN, (f"{len(shapes)} tensors, the first is {first}",))


# Looked for before checkpoints: a ControlNet of the first generation carries a whole checkpoint with it.
_ADD_ONS = (
    ("controlnet", "control-lora", "lora_controlnet"),
    ("ip_adapter", "IP-Adapter", ".to_k_ip."),
    ("style_model", "style model (T2I-Adapter)", "style_embedding"),
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
    ("controlnet", "ControlNet union (diffusers names)", "task_embedding"),
    ("controlnet", "ControlNet (diffusers names)", "controlnet_cond_embedding."),
    ("ip_adapter", "IP-Adapter", "ip_adapter."),
    ("gligen", "GLIGEN", "position_net."),
    ("cascade_stage", "stage of a pixel cascade", "encoder_pooling.1."),
    ("cascade_stage", "stage of a pixel cascade (diffusers names)", "add_embedding.pool."),
    ("safety_checker", "safety checker", "special_care_embeds"),
)
_PARTS = (
    ("vae", "KL autoencoder", "decoder.mid.block_1.conv1.weight"),
    ("vae", "KL autoencoder (diffusers names)", "decoder.mid_block.resnets.0."),
    ("unet", "UNet", "input_blocks.0.0.weight"),
    ("unet", "UNet (diffusers names)", "down_blocks.0.resnets.0."),
    ("unet", "SD 3", "joint_blocks.0."),
    ("unet", "Flux", "double_blocks.0."),
    ("controlnet", "T2I-Adapter", "body.0.block1."),
    ("controlnet", "T2I-Adapter (light)", "body.0.in_conv."),
    ("controlnet", "T2I-Adapter (diffusers names)", "body.0.resnets.0.block1."),
    ("controlnet", "T2I-Adapter (diffusers names)", "adapter.body.0."),
    ("upscale_model", "ESRGAN", "model.1.sub.0."),
    ("upscale_model", "ESRGAN", "RRDB_trunk.0."),
    ("upscale_model", "ESRGAN (Real-ESRGAN's names)", "body.0.rdb1."),
    ("upscale_model", "SwinIR", "layers.0.residual_group.blocks.0."),
    ("clip_vision", "CLIP vision tower", "vision_model.embeddings."),
    ("clip_vision", "OpenCLIP vision tower", "ln_pre.weight"),
    ("text_encoder", "OpenCLIP text encoder", "transformer.resblocks.0."),
    ("text_encoder", "BERT", "embeddings.word_embeddings.weight"),
    ("text_encoder", "CLIP text encoder", "embeddings.token_embedding.weight"),
    ("text_encoder", "T5", "encoder.block.0.layer.0.SelfAttention."),
)
_HYPERNETWORK = re.compile(r"\d+\.[01]\.linear")  # a width, keys or values, a layer
_FOLDERS = {
    "checkpoint": "checkpoints",
    "vae": "vae",
    "lora": "loras",
    "controlnet": "controlnet",
    "unet": "diffusion_models",
    "transformer": "diffusion_models",
    "embedding": "embeddings",
    "hypernetwork": "hypernetworks",
    "gligen": "gligen",
    "ip_adapter": "ipadapter",
    "style_model": "style_models",
    "upscale_model": "upscale_models",
    "tiny_autoencoder": "vae_approx",
    "clip_vision": "clip_vision",
    "text_encoder": "text_encoders",
    "cascade_stage": "diffusion_models",
    "safety_checker": "classifiers",
}
_LOADERS = {"unet": "UNETLoader", "transformer": "UNETLoader", "cascade_stage": "CascadeStageLoader"}  # of one folder


# Of each half of a tiny autoencoder: a convolution and a block that follows it, by their prefixes. A decoder in the
# original's layout counts from a layer without weights, so that an encoder has a layer 0 and a decoder has none.
_TINY = {
    "encoder": (("encoder.layers.", 0), ("taesd_encoder.", 0), ("encoder.", 0), ("", 0)),
    "decoder": (("decoder.layers.", 0), ("taesd_decoder.", 1), ("decoder.", 1), ("", 1)),
}


def _tiny_halves(shapes: Shapes) -> tuple[str, ...]:
    found = []
    for half, places in _TINY.items():
        for prefix, first in places:
            block = f"{prefix}{first + (1 if half == 'encoder' else 2)}.conv.0.weight"
            if (
                f"{prefix}{first}.weight" in shapes
                and block in shapes
                and not (first and f"{prefix}0.weight" in shapes)
            ):
                found.append(f"it has the {half}'s tensor {prefix}{first}.weight")
                break
    return tuple(found)


_EMBEDDINGS = ("emb_params", "clip_l", "clip_g", "text_encoders_0", "text_encoders_1")


def _is_embedding(shapes: Shapes) -> bool:
    named = all(name in _EMBEDDINGS or name.startswith("string_to_param.") for name in shapes)
    return bool(shapes) and (named or len(shapes) == 1) and all(len(shape) in (1, 2) for shape in shapes.values())


def _checkpoint(shapes: Shapes) -> Detection:
    facts = _facts(shapes)
    differences = {name: _differences(facts, family) for name, family in FAMILIES.items()}
    nearest = min(differences, key=lambda name: len(differences[name]))
    if differences[nearest]:
        return Detection("checkpoint", UNKNOWN, tuple(differences[nearest]), nearest)
    evidence = tuple(f"{fact}: {found.value}" for fact, found in facts.items())
    return Detection("checkpoint", nearest, evidence)


def _transformer(shapes: Shapes) -> Detection | None:
    """A transformer net, with the prefix of checkpoints or without."""
    facts = transformer_facts({name.removeprefix(UNET): shape for name, shape in shapes.items()})
    if facts is None:
        return None
    differences = {name: family_differences(facts, family) for name, family in TRANSFORMERS.items()}
    nearest = min(differences, key=lambda name: len(differences[name]))
    if differences[nearest]:
        return Detection("transformer", UNKNOWN, tuple(differences[nearest]), nearest)
    return Detection("transformer", nearest, tuple(f"{fact}: {found.value}" for fact, found in facts.items()))


class _Fact(NamedTuple):
    """A fact about a checkpoint, and the tensor that says so (none where it is the lack of one)."""

    value: str
    tensor: str = ""


def _facts(shapes: Shapes) -> dict[str, _Fact]:
    first = f"{UNET}input_blocks.0.0.weight"
    return {
        "channels": _Fact(str(shapes[first][1]), first),
        "projections": _projections(shapes),
        "context width": _contexts(shapes),
        "conditioning vector": _vector(shapes),
        "levels": _Fact(str(1 + sum(name.endswith(".0.op.weight") and name.startswith(UNET) for name in shapes))),
        "finest level": _finest(shapes),
        "guidance embedding": _found(shapes, "yes", "cond_proj.weight", otherwise="no"),
        "time layers": _found(shapes, "yes", TIME_LAYERS, otherwise="no"),
        "text encoder": _text_encoder(shapes),
    }


def _found(shapes: Shapes, value: str, part: str, *, otherwise: str) -> _Fact:
    name = next((name for name in shapes if part in name and name.startswith(UNET)), None)
    return _Fact(otherwise) if name is None else _Fact(value, name)


def _projections(shapes: Shapes) -> _Fact:
    names = {len(shape): name for name, shape in shapes.items() if name.endswith("1.proj_in.weight")}
    if len(names) > 1:
        return _Fact("mixed", " and ".join(names.values()))
    return next((_Fact({4: "convolutions", 2: "linear"}.get(rank, "none"), name) for rank, name in names.items()),
                _Fact("none"))  # fmt: skip


def _contexts(shapes: Shapes) -> _Fact:
    names = {shape[1]: name for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")}
    widths = sorted(names)
    return _Fact("/".join(map(str, widths)), names[widths[0]]) if widths else _Fact("none")


def _vector(shapes: Shapes) -> _Fact:
    for name, value in (("label_emb.weight", "class table"), ("label_emb.0.0.weight", "vector")):
        if f"{UNET}{name}" in shapes:
            return _Fact(value, f"{UNET}{name}")
    return _Fact("none")


def _finest(shapes: Shapes) -> _Fact:
    attention = f"{UNET}input_blocks.1.1.norm.weight"
    inside = (name for name in shapes if name.startswith(f"{UNET}input_blocks.1."))
    found = next(inside, None)
    if found is None:
        return _Fact("nothing")
    name = next((name for name in (found, *inside) if name.startswith(f"{UNET}input_blocks.1.1.")), None)
    return _Fact("no attention") if name is None else _Fact("attention", attention if attention in shapes else name)


_TEXT = {
    f"{CLIP}text_model.": "CLIP",
    f"{CLIP}embeddings.token_embedding.": "CLIP",
    f"{CLIP}embeddings.word_embeddings.": "BERT",
    f"{CLIP}bert.embeddings.word_embeddings.": "BERT",
    "cond_stage_model.model.": "OpenCLIP",
    "conditioner.embedders.1.model.": "CLIP and OpenCLIP",
    "conditioner.embedders.0.model.transformer.": "OpenCLIP alone",
}


def _text_encoder(shapes: Shapes) -> _Fact:
    """The text towers by where they are: `cond_stage_model` (SD 1 and 2) or `conditioner.embedders` (SDXL)."""
    for start, what in _TEXT.items():
        for name in shapes:
            if name.startswith(start):
                return _Fact(what, name)
    other = next((name for name in shapes if name.startswith(("cond_stage_model.", "conditioner."))), None)
    return _Fact("none") if other is None else _Fact("another", other)


def _differences(facts: Mapping[str, _Fact], family: Family) -> list[str]:
    return [
        f"{fact}: {facts[fact].value} instead of {' or '.join(values)}"
        + (f" ({facts[fact].tensor})" if facts[fact].tensor else "")
        for fact, values in {**USUAL, **family.facts}.items()
        if facts[fact].value not in values
    ]


def wrong_kind(path: Path, detection: Detection, expected: str) -> ArchitectureError:
    """The error for a file that is something else than `expected`: what it is, why, and where it belongs."""
    evidence = "; ".join(detection.evidence)
    got, hint = f"{_article(detection.family)} ({evidence})", ""
    if detection.nearest:
        got = f"a {detection.kind} of an unknown family"
        hint = f"The nearest family is {detection.nearest}, but: {evidence}."
    elif detection.kind == "checkpoint":
        got = f"a checkpoint of {detection.family} ({evidence})"
    elif detection.kind == UNKNOWN:
        got, hint = "a file of an unknown kind", f"It has {evidence}."
    elif detection.kind in _FOLDERS:
        folder = _FOLDERS[detection.kind]
        there = folder in path.parts and detection.kind in _LOADERS
        hint = f"Load it with {_LOADERS[detection.kind]}." if there else f"It belongs in models/{folder}."
    return ArchitectureError("this file is of another kind", where=path.name, expected=expected, got=got, hint=hint)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "AEIO" else f"a {noun}"
