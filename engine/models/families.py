"""The checkpoint families: what tells them apart, and what must be known to run them. Free of torch.

Numbers are those of the published configurations: Rombach et al. 2022 (SD 1 and 2, x4), Ramesh et al. 2022 (unCLIP),
Podell et al. 2023 (SDXL), Brooks et al. 2023 (InstructPix2Pix), Blattmann et al. 2023 (Stable Video Diffusion).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Prediction: TypeAlias = Literal["epsilon", "v", "edm"]
VectorKind: TypeAlias = Literal[
    "none",
    "sizes",
    "sizes and score",
    "noise level",
    "picture",
    "class",
    "picture size",
    "small picture's noise",
    "motion",
]
ChannelsKind: TypeAlias = Literal["none", "inpainting", "edit", "depth", "low resolution", "small picture", "still"]
Curve: TypeAlias = Literal["scaled linear", "linear"]

SD1, SD2, SDXL, REFINER, TAIYI = "SD 1.x", "SD 2.x", "SDXL", "SDXL refiner", "Taiyi"
UPSCALER, UNCLIP, DEPTH, VIDEO = "SD x4 upscaler", "Stable unCLIP", "SD 2.x depth", "Stable Video Diffusion"


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `facts` lists every value that a fact of detection may have.

    A prediction of None is told from the weights. `vector` and `channels` say what the net takes besides noisy latents
    and tokens; `betas` are the ends of the noise schedule, a line of `curve`, `downscale` the pixels of a latent cell
    along a side. A net that was trained on every noise level of a range instead has its ends in `sigmas` (Karras et al.
    2022).
    """

    name: str
    facts: Mapping[str, tuple[str, ...]]
    prediction: Prediction | None = "epsilon"
    scale_factor: float = 0.18215
    vector: VectorKind = "none"
    channels: ChannelsKind = "none"
    betas: tuple[float, float] = (0.00085, 0.012)
    curve: Curve = "scaled linear"
    sigmas: tuple[float, float] | None = None
    downscale: int = 8
    supported: bool = True

    @property
    def attention_overflows(self) -> bool:
        """Whether the products of its UNet's attention leave the range of float16, as Stable Diffusion 2's do."""
        return self.name in _OF_SD2

    @property
    def vae_overflows(self) -> bool:
        """Whether its autoencoder's activations leave the range of float16, as SDXL's do."""
        return self.vector.startswith("sizes")


def _facts(channels: int, projections: str, text: str, **more: str) -> dict[str, tuple[str, ...]]:
    facts = {"channels": (str(channels),), "projections": (projections,), "text encoder": (text, "none")}
    return facts | {name.replace("_", " "): tuple(value.split("|")) for name, value in more.items()}


_OF_SD2 = frozenset({SD2, "SD 2.x inpainting", DEPTH, UPSCALER, UNCLIP})
_OLD, _NEW = "convolutions", "linear"
_BOTH, _ALONE = "CLIP and OpenCLIP", "OpenCLIP alone"
_BASE = {"conditioning_vector": "vector", "finest_level": "no attention", "guidance_embedding": "no|yes"}

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(SD1, _facts(4, _OLD, "CLIP", guidance_embedding="no|yes")),
        Family("SD 1.5 inpainting", _facts(9, _OLD, "CLIP"), channels="inpainting"),
        Family("InstructPix2Pix", _facts(8, _OLD, "CLIP"), channels="edit"),
        Family(TAIYI, {**_facts(4, _OLD, "BERT"), "text encoder": ("BERT",)}),
        Family(SD2, _facts(4, _NEW, "OpenCLIP", guidance_embedding="no|yes"), prediction=None),
        Family("SD 2.x inpainting", _facts(9, _NEW, "OpenCLIP"), channels="inpainting"),
        Family(DEPTH, _facts(5, _NEW, "OpenCLIP"), channels="depth"),
        Family(
            UPSCALER,
            _facts(7, _NEW, "OpenCLIP", conditioning_vector="class table"),
            prediction="v",
            scale_factor=0.08333,
            vector="noise level",
            channels="low resolution",
            betas=(1e-4, 0.02),
            downscale=4,
        ),
        Family(
            UNCLIP,
            _facts(4, _NEW, "OpenCLIP", conditioning_vector="vector", finest_level="attention"),
            prediction="v",
            vector="picture",
        ),
        Family(SDXL, _facts(4, _NEW, _BOTH, levels="3", **_BASE), scale_factor=0.13025, vector="sizes"),
        Family(
            "SDXL inpainting",
            _facts(9, _NEW, _BOTH, levels="3", **_BASE),
            scale_factor=0.13025,
            vector="sizes",
            channels="inpainting",
        ),
        Family(
            "SDXL InstructPix2Pix",
            _facts(8, _NEW, _BOTH, levels="3", **_BASE),
            scale_factor=0.13025,
            vector="sizes",
            channels="edit",
        ),
        Family(REFINER, _facts(4, _NEW, _ALONE, levels="4", **_BASE), scale_factor=0.13025, vector="sizes and score"),
        Family(
            VIDEO,
            {
                "channels": ("8",),
                "projections": (_NEW,),
                "conditioning vector": ("vector",),
                "time layers": ("yes",),
            },
            prediction="v",
            vector="motion",
            channels="still",
            sigmas=(0.002, 700.0),
        ),
    )
}

USUAL: Mapping[str, tuple[str, ...]] = {
    "conditioning vector": ("none",),
    "time layers": ("no",),
    "guidance embedding": ("no",),
}
"""The values of facts that a family says nothing about."""
