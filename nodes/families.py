"""Conditioning for single families: sizes for SDXL, pictures for inpainting, edits, depth and the x4 upscaler."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import torch

from engine.models.text.encoder import TextEncoder
from engine.models.vae import Vae
from engine.node import Range, Text, node
from engine.tensors.resample import resize
from engine.tensors.values import Conditioning, Image, Latent, Mask, Sizes

REDUCED = 4  # the x4 upscaler's low-resolution picture has a pixel for each latent cell

Pixels = Annotated[int, Range(0, 16384)]
Words = Annotated[str, Text(multiline=True, dynamic_prompts=True)]
Sides = tuple[Conditioning, Conditioning, Latent]
OUTPUTS = ["positive", "negative", "latent"]


@node("CLIPTextEncodeSDXL", category="advanced/conditioning")
def encode_sdxl(
    clip: TextEncoder,
    width: Pixels = 1024,
    height: Pixels = 1024,
    crop_w: Pixels = 0,
    crop_h: Pixels = 0,
    target_width: Pixels = 1024,
    target_height: Pixels = 1024,
    *,
    text_g: Words,
    text_l: Words,
) -> Conditioning:
    """Encode a text for each of SDXL's towers, and tell it of the picture: its size, its cut, and the size to be."""
    sizes = Sizes(height, width, crop_h, crop_w, target_height, target_width)
    encoded = clip.encode(text_g) if clip.second is None else clip.encode(text_l, text_g)
    return with_extras(encoded, sizes=sizes)


@node("CLIPTextEncodeSDXLRefiner", category="advanced/conditioning")
def encode_sdxl_refiner(
    ascore: Annotated[float, Range(0.0, 1000.0, step=0.01)] = 6.0,
    width: Pixels = 1024,
    height: Pixels = 1024,
    *,
    text: Words,
    clip: TextEncoder,
) -> Conditioning:
    """Encode a text for SDXL's refiner, with the size of the picture and how beautiful it is to be."""
    return with_extras(clip.encode(text), sizes=Sizes(height, width, 0, 0, height, width), score=ascore)


@node("InpaintModelConditioning", category="conditioning/inpaint", outputs=OUTPUTS)
def inpaint_conditioning(
    positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image, mask: Mask, noise_mask: bool = True
) -> Sides:
    """Show an inpainting model the picture without the masked part, and where that is.

    With `noise_mask` what is not masked is kept as it was; otherwise the model paints it, too.
    """
    covered = resize(mask.reshape(-1, 1, *mask.shape[-2:]), pixels.shape[2], pixels.shape[1], "bilinear")[:, 0]
    picture, covered = vae.crop(pixels)[..., :3], vae.crop(covered)
    grey = (picture - 0.5) * (1.0 - covered.round())[..., None] + 0.5
    shown = {"picture": vae.encode(grey), "repaint": covered}
    latent = Latent(vae.encode(picture), noise_mask=covered if noise_mask else None, downscale=vae.downscale)
    return with_extras(positive, **shown), with_extras(negative, **shown), latent


@node("InstructPixToPixConditioning", category="conditioning/instructpix2pix", outputs=OUTPUTS)
def edit_conditioning(positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image) -> Sides:
    """Show an editing model (InstructPix2Pix) the picture to edit.

    DualCFGGuider tells text and picture apart: `positive` and `negative` of this node first, a plain prompt third.
    """
    picture = vae.encode(pixels)
    blank = Latent(torch.zeros_like(picture), downscale=vae.downscale)
    return with_extras(positive, picture=picture), with_extras(negative, picture=picture), blank


@node("SD_4XUpscale_Conditioning", category="conditioning/upscale_diffusion", outputs=OUTPUTS)
def upscale_conditioning(
    images: Image,
    positive: Conditioning,
    negative: Conditioning,
    scale_ratio: Annotated[float, Range(0.0, 10.0, step=0.01)] = 4.0,
    noise_augmentation: Annotated[float, Range(0.0, 1.0, step=0.001)] = 0.0,
) -> Sides:
    """Show the x4 upscaler a picture to enlarge; `noise_augmentation` lets it invent more."""
    height, width = (max(1, round(side * scale_ratio)) for side in images.shape[1:3])
    cells = (max(1, height // REDUCED), max(1, width // REDUCED))
    small = resize(images[..., :3].movedim(-1, 1) * 2 - 1, cells[1], cells[0], "bilinear", "center")
    shown = {"picture": small, "noise": noise_augmentation}
    blank = Latent(torch.zeros(len(images), 4, *cells), empty=True, downscale=REDUCED)
    return with_extras(positive, **shown), with_extras(negative, **shown), blank


@node("DepthConditioning", category="conditioning/depth", outputs=["positive", "negative"])
def depth_conditioning(
    positive: Conditioning, negative: Conditioning, depth: Image
) -> tuple[Conditioning, Conditioning]:
    """Show a depth model (SD 2 depth) how near things are: the mean of the colours of `depth`, white is near."""
    shown = depth[..., :3].mean(dim=-1)[:, None]
    return with_extras(positive, picture=shown), with_extras(negative, picture=shown)


def with_extras(conditioning: Conditioning, **changes: Any) -> Conditioning:
    """Each prompt with other extras for its net."""
    prompts = (replace(prompt, extras=replace(prompt.extras, **changes)) for prompt in conditioning.prompts)
    return Conditioning(tuple(prompts))
