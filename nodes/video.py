"""Videos from a picture: what Stable Video Diffusion is told."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from engine.foundation.bounds import within
from engine.models.vae import Vae
from engine.models.vision.tower import ImageEncoder
from engine.node import Range, node
from engine.tensors.resample import resize
from engine.tensors.values import Conditioning, Extras, Image, Latent, Motion, Prompt
from engine.tensors.videos import VideoError

NOISE_SEED = 0  # of the noise over the picture: the same inputs give the same conditioning

Side = Annotated[int, Range(16, 16384, step=8)]


@node("SVD_img2vid_Conditioning", category="conditioning/video_models", outputs=["positive", "negative", "latent"])
def video_conditioning(
    clip_vision: ImageEncoder,
    init_image: Image,
    vae: Vae,
    width: Side = 1024,
    height: Side = 576,
    video_frames: Annotated[int, Range(1, 4096)] = 14,
    motion_bucket_id: Annotated[int, Range(1, 1023)] = 127,
    fps: Annotated[int, Range(1, 1024)] = 6,
    augmentation_level: Annotated[float, Range(0.0, 10.0, step=0.01)] = 0.0,
) -> tuple[Conditioning, Conditioning, Latent]:
    """Set a picture in motion: `motion_bucket_id` says how much moves, `fps` how fast the video will be shown.

    `augmentation_level` is noise over the picture, from which the video may then stray. `init_image` is one picture, or
    one for each frame.
    """
    within("video_frames", video_frames, 2, 4096)
    if len(init_image) not in (1, video_frames):
        raise VideoError(
            "a video begins with one picture",
            where="input init_image",
            expected=f"1 picture, or one for each of {video_frames} frames",
            got=f"{len(init_image)}",
            hint="ImageFromBatch takes one out of a batch.",
        )
    still = resize(init_image[..., :3].movedim(-1, 1), width, height, "bilinear", "center")
    seen = vae.encode(_noised(still, augmentation_level).movedim(1, -1))
    tokens = clip_vision.encode(init_image, crop=False).embeddings[:, None]
    motion = Motion(fps, motion_bucket_id, augmentation_level)

    def told(tokens: Tensor, picture: Tensor) -> Conditioning:
        return Conditioning((Prompt(tokens, extras=Extras(picture=picture, motion=motion)),))

    cells = (video_frames, vae.latent_channels, *seen.shape[-2:])
    latent = Latent(torch.zeros(cells), empty=True, downscale=vae.downscale)
    return told(tokens, seen), told(torch.zeros_like(tokens), torch.zeros_like(seen)), latent


def _noised(still: Tensor, level: float) -> Tensor:
    """Pictures `(B, 3, H, W)` in 0..1 with noise of the deviation `level` on the scale -1..1 that the net knows."""
    if level == 0:
        return still
    noise = torch.randn(still.shape, generator=torch.Generator().manual_seed(NOISE_SEED))
    return still + noise.to(still) * (level / 2)
