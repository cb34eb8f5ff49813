"""Encoding and decoding in tiles, for pictures that are too large to go through the autoencoder at once."""

from __future__ import annotations

from typing import Annotated

from engine.models.vae import Vae
from engine.node import PLAIN, NodeContext, Range, node
from engine.tensors.tiles import Tiling, tiled
from engine.tensors.values import Image, Latent

Frames = Annotated[int, Range(8, 4096, step=4)]
FrameOverlap = Annotated[int, Range(4, 4096, step=4)]
Overlap = Annotated[int, Range(0, 4096, step=32)]


@node("VAEDecodeTiled", category="_for_testing", display_name="VAE Decode (Tiled)")
def vae_decode_tiled(
    samples: Latent,
    vae: Vae,
    tile_size: Annotated[int, Range(64, 4096, step=32)] = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
    ctx: NodeContext = PLAIN,
) -> Image:
    """Latents to pictures in tiles of so many pixels, with blended seams; of videos `temporal_size` frames at once."""
    del temporal_overlap  # frames are no fewer in latents than in videos: there is nothing to blend
    tiling = _tiling(tile_size, overlap, vae.downscale)
    plan = Tiling(*tiling, factor_out=vae.downscale)
    pixels = tiled(samples.samples, plan, lambda part: vae.decode(part, temporal_size).movedim(-1, 1), ctx.progress)
    return Image(pixels.movedim(1, -1))


@node("VAEEncodeTiled", category="_for_testing", display_name="VAE Encode (Tiled)")
def vae_encode_tiled(
    pixels: Image,
    vae: Vae,
    tile_size: Annotated[int, Range(64, 4096, step=64)] = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
    ctx: NodeContext = PLAIN,
) -> Latent:
    """Pictures to latents in tiles of so many pixels, with blended seams. The temporal inputs are for videos."""
    del temporal_size, temporal_overlap  # pictures have no time
    tiling = _tiling(tile_size, overlap, vae.downscale)
    plan = Tiling(*tiling, factor_in=vae.downscale)
    planes = vae.crop(pixels).movedim(-1, 1)
    encoded = tiled(planes, plan, lambda part: vae.encode(part.movedim(1, -1)), ctx.progress)
    return Latent(encoded, downscale=vae.downscale)


def _tiling(tile_size: int, overlap: int, downscale: int) -> tuple[int, int]:
    """Both in cells; neighbours share a quarter of a tile at most, so that the work does not grow without bound."""
    size = max(1, tile_size // downscale)
    return size, min(overlap // downscale, size // 4)
