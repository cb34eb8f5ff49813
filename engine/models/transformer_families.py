"""The families of transformer nets: what tells them apart, in the names of the original files or of diffusers'.

Free of torch. Sources: Peebles and Xie 2022 (DiT), Chen et al. 2023 and 2024 (PixArt), Bao et al. 2022 (U-ViT), and the
published configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from engine.models.families import Family

DIT, ALPHA, SIGMA, UVIT, UVIT_WORDS = "DiT", "PixArt-alpha", "PixArt-sigma", "U-ViT", "U-ViT for words"
PROMPT_TOKENS = {ALPHA: 120, SIGMA: 300}
_LINEAR = (1e-4, 0.02)
_SDXL_SCALE = 0.13025  # of SDXL's autoencoder, which PixArt-sigma shares


def _facts(condition: str, modulation: str, **more: str) -> dict[str, tuple[str, ...]]:
    facts = {"condition": (condition,), "modulation": (modulation,), "channels": ("4",)}
    return facts | {name.replace("_", " "): tuple(value.split("|")) for name, value in more.items()}


TRANSFORMERS: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(DIT, _facts("class table", "in each block"), vector="class", betas=_LINEAR, curve="linear"),
        # before alpha: files in diffusers' names say which they are only where they are told the size
        Family(
            SIGMA,
            _facts("words", "shared", empty_prompt=f"{PROMPT_TOKENS[SIGMA]}|none"),
            scale_factor=_SDXL_SCALE,
            betas=_LINEAR,
            curve="linear",
        ),
        Family(
            ALPHA,
            _facts("words", "shared", empty_prompt=f"{PROMPT_TOKENS[ALPHA]}|none", picture_size="told|not told"),
            vector="picture size",
            betas=_LINEAR,
            curve="linear",
        ),
        Family(UVIT, _facts("class table", "none", long_skips="yes|no"), vector="class"),
        Family(UVIT_WORDS, _facts("words", "none", long_skips="yes|no")),
    )
}

_USUAL: Mapping[str, tuple[str, ...]] = {
    "attention": ("plain",),
    "empty prompt": ("none",),
    "picture size": ("not told",),
    "long skips": ("no",),
}


class Fact(NamedTuple):
    """A fact about a file, and the tensor that says so (none where it is the lack of one)."""

    value: str
    tensor: str = ""


def transformer_facts(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Fact] | None:
    """What tells a transformer's family, from tensors without prefix; None for a file of another kind."""
    first = next((name for name in _FIRST if len(shapes.get(name, ())) == 4), None)
    if first is None or not any(name.startswith(_FIRST[first]) for name in shapes):
        return None
    return {
        "channels": Fact(str(shapes[first][1]), first),
        "condition": _told(shapes, _CONDITIONS, "none"),
        "modulation": _told(shapes, _MODULATIONS, "none"),
        "picture size": _told(shapes, _SIZES, "not told"),
        "long skips": _told(shapes, (("out_blocks.0.skip_linear.", "yes"),), "no"),
        "attention": _told(shapes, _ATTENTIONS, "plain"),
        "empty prompt": _empty_prompt(shapes),
    }


_FIRST = {  # the layer that makes tokens of a picture, and the blocks after it
    "x_embedder.proj.weight": "blocks.0.",
    "pos_embed.proj.weight": "transformer_blocks.0.",
    "patch_embed.proj.weight": "in_blocks.0.",
}
_CONDITIONS = (
    ("y_embedder.embedding_table.", "class table"),
    ("transformer_blocks.0.norm1.emb.class_embedder.", "class table"),
    ("label_emb.", "class table"),
    ("y_embedder.y_proj.", "words"),
    ("caption_projection.", "words"),
    ("context_embed.", "words"),
)
_MODULATIONS = (
    ("t_block.1.", "shared"),
    ("adaln_single.linear.", "shared"),
    ("blocks.0.adaLN_modulation.1.", "in each block"),
    ("transformer_blocks.0.norm1.linear.", "in each block"),
)
_SIZES = (("csize_embedder.", "told"), ("adaln_single.emb.resolution_embedder.", "told"))
_ATTENTIONS = (
    (".attn.sr.", "over fewer keys"),
    (".attn.q_norm.", "normed"),
    (".attn1.norm_q.", "normed"),
    (".attn.to_q.", "of another layout"),
)


def _told(shapes: Mapping[str, tuple[int, ...]], table: tuple[tuple[str, str], ...], otherwise: str) -> Fact:
    for part, value in table:
        for name in shapes:
            if name.startswith(part) or (part.startswith(".") and part in name):
                return Fact(value, name)
    return Fact(otherwise)


def _empty_prompt(shapes: Mapping[str, tuple[int, ...]]) -> Fact:
    name = "y_embedder.y_embedding"
    return Fact(str(shapes[name][0]), name) if name in shapes else Fact("none")


def family_differences(facts: Mapping[str, Fact], family: Family) -> list[str]:
    """What about a file is not as in `family`, a line each."""
    return [
        f"{fact}: {facts[fact].value} instead of {' or '.join(values)}"
        + (f" ({facts[fact].tensor})" if facts[fact].tensor else "")
        for fact, values in {**_USUAL, **family.facts}.items()
        if facts[fact].value not in values
    ]
