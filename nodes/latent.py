"""Latents: made, encoded, decoded, masked, resized, saved and loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor
from torch.nn import functional as F

from engine.models.vae import Vae
from engine.node import PLAIN, Choice, Files, NodeContext, Range, node
from engine.tensors.resample import LATENT_METHODS, resize
from engine.tensors.values import Image, Latent, Mask

CELL = 8  # pixels per latent cell of the published models; blank latents are re-shaped where a model has another factor
OLD_FORMAT_FACTOR = 1 / 0.18215  # latents saved before the format had a version were stored scaled

Side = Annotated[int, Range(16, 16384, step=8)]
Side16 = Annotated[int, Range(16, 16384, step=16)]
SideOrKeep = Annotated[int, Range(0, 16384, step=8)]
Batch = Annotated[int, Range(1, 4096)]
Method = Annotated[str, Choice(*LATENT_METHODS)]
Crop = Annotated[str, Choice("disabled", "center")]


@node("EmptyLatentImage", category="latent", display_name="Empty Latent Image")
def empty_latent(width: Side = 512, height: Side = 512, batch_size: Batch = 1) -> Latent:
    """A blank canvas of `width` x `height` pixels for each picture of a batch."""
    return Latent(torch.zeros(batch_size, 4, height // CELL, width // CELL), empty=True, downscale=CELL)


@node("EmptySD3LatentImage", category="latent/sd3")
def empty_sd3_latent(width: Side16 = 1024, height: Side16 = 1024, batch_size: Batch = 1) -> Latent:
    """A blank canvas with the 16 channels of Stable Diffusion 3 and Flux."""
    return Latent(torch.zeros(batch_size, 16, height // CELL, width // CELL), empty=True, downscale=CELL)


@node("VAEDecode", category="latent", display_name="VAE Decode")
def vae_decode(samples: Latent, vae: Vae) -> Image:
    """Latents to pictures."""
    return vae.decode(samples.samples)


@node("VAEEncode", category="latent", display_name="VAE Encode")
def vae_encode(pixels: Image, vae: Vae) -> Latent:
    """Pictures to latents."""
    return Latent(vae.encode(pixels), downscale=vae.downscale)


@node("VAEEncodeForInpaint", category="latent/inpaint", display_name="VAE Encode (for Inpainting)")
def vae_encode_for_inpaint(
    pixels: Image, vae: Vae, mask: Mask, grow_mask_by: Annotated[int, Range(0, 64)] = 6
) -> Latent:
    """Pictures to latents with the masked part made grey, to be painted anew at full denoise."""
    covered = resize(mask.reshape(-1, 1, *mask.shape[-2:]), pixels.shape[2], pixels.shape[1], "bilinear")[:, 0]
    pixels, covered = Image(vae.crop(pixels)), vae.crop(covered)
    keep = 1.0 - covered.round()
    grey = (pixels[..., :3] - 0.5) * keep[..., None] + 0.5
    return Latent(vae.encode(grey), noise_mask=_grown(covered, grow_mask_by).round(), downscale=vae.downscale)


@node("SetLatentNoiseMask", category="latent/inpaint", display_name="Set Latent Noise Mask")
def set_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """Repaint only where the mask is 1."""
    return replace(samples, noise_mask=mask.reshape(-1, *mask.shape[-2:]))


@node("LatentUpscale", category="latent", display_name="Upscale Latent")
def upscale_latent(
    samples: Latent, upscale_method: Method, width: SideOrKeep = 512, height: SideOrKeep = 512, *, crop: Crop
) -> Latent:
    """Resize to `width` x `height` pixels; 0 keeps the proportions by the other side, two zeros keep the size."""
    old_height, old_width = samples.samples.shape[-2:]
    if width == 0 and height == 0:
        return samples
    new_width, new_height = max(1, width // samples.downscale), max(1, height // samples.downscale)
    if width == 0:
        new_width = max(1, round(old_width * new_height / old_height))
    if height == 0:
        new_height = max(1, round(old_height * new_width / old_width))
    return replace(samples, samples=resize(samples.samples, new_width, new_height, upscale_method, crop))


@node("LatentUpscaleBy", category="latent", display_name="Upscale Latent By")
def upscale_latent_by(
    samples: Latent, upscale_method: Method, scale_by: Annotated[float, Range(0.01, 8.0, step=0.01)] = 1.5
) -> Latent:
    """Resize by a factor."""
    height, width = (max(1, round(side * scale_by)) for side in samples.samples.shape[-2:])
    return replace(samples, samples=resize(samples.samples, width, height, upscale_method))


@node("SaveLatent", category="_for_testing", sink=True)
def save_latent(samples: Latent, filename_prefix: str = "latents/ComfyUI", ctx: NodeContext = PLAIN) -> None:
    """Write a latent to the output folder, with the workflow in it."""
    tensors = {
        "latent_tensor": samples.samples.contiguous(),
        "latent_format_version_0": torch.tensor([]),
        "downscale": torch.tensor(samples.downscale),
    }
    ctx.save(save_tensors(tensors, dict(ctx.metadata)), filename_prefix, ".latent")


@node("LoadLatent", category="_for_testing")
def load_latent(latent: Annotated[str, Files("latents")], ctx: NodeContext = PLAIN) -> Latent:
    """Read a latent from the input folder."""
    tensors = load_file(ctx.file("latents", latent))
    factor = 1.0 if "latent_format_version_0" in tensors else OLD_FORMAT_FACTOR
    downscale = int(tensors["downscale"]) if "downscale" in tensors else CELL
    return Latent(tensors["latent_tensor"].float() * factor, downscale=downscale)


def _grown(mask: Tensor, by: int) -> Tensor:
    """`mask` `(B, H, W)` with its ones widened to a square of `by` pixels about each."""
    if by == 0:
        return mask
    ones = torch.ones(1, 1, by, by)
    padding = -(-(by - 1) // 2)
    grown = F.conv2d(mask.round()[:, None], ones, padding=padding).clamp(0, 1)
    return grown[:, 0, : mask.shape[1], : mask.shape[2]]
