"""What the widths of tensors say of a model: of its tokens, its text towers and its image towers. Free of torch.

The widths are those of the published nets: Rombach et al. 2022 (SD 1 and 2), Podell et al. 2023 (SDXL), Radford et al.
2021 (CLIP ViT-L) and OpenCLIP's ViT-H and bigG.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

FAMILIES_BY_TOKENS = {
    768: "SD 1.x",
    1024: "SD 2.x",
    1280: "the SDXL refiner",
    2048: "SDXL",
    4096: "a family with a T5 encoder",
}
TEXT_TOWERS = {768: "CLIP ViT-L (SD 1.x, SDXL's first)", 1024: "OpenCLIP ViT-H (SD 2.x)", 1280: "OpenCLIP bigG (SDXL)"}
IMAGE_TOWERS = {1024: "CLIP ViT-L", 1280: "OpenCLIP ViT-H", 1664: "OpenCLIP bigG"}  # by their states
IMAGE_EMBEDDINGS = {768: "CLIP ViT-L", 1024: "OpenCLIP ViT-H", 1280: "OpenCLIP bigG"}  # by what they project to
_WORDS = {768: "SD 1.x, or SDXL's first encoder", 1024: "SD 2.x", 1280: "SDXL's second encoder"}


def named(names: Mapping[int, str], widths: Iterable[int]) -> str | None:
    """The names of those widths that have one, each once; None if none has."""
    found = dict.fromkeys(names[width] for width in widths if width in names)
    return " and ".join(found) or None


def family_of_words(widths: Iterable[int]) -> str | None:
    """The family that a textual inversion of vectors of these widths is for, in words."""
    found = set(widths)
    return "SDXL" if {768, 1280} <= found else named(_WORDS, found)


def family_of_tokens(width: int) -> str:
    """The family of nets whose tokens are so wide, in words."""
    known, tokens = FAMILIES_BY_TOKENS.get(width), f"tokens of width {width}"
    return tokens if known is None else f"{known} ({tokens})"
