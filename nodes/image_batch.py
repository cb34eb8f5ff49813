"""Batches of pictures: made, joined, cut, repeated, laid out anew; colours split into brightness and hue."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.node import Grow, Range, Seed, node
from engine.tensors.images import batched, filled, rgb
from engine.tensors.values import Image

CATEGORY = "image/batch"

Side = Annotated[int, Range(1, 16384)]
Count = Annotated[int, Range(1, 4096)]


@node("EmptyImage", category="image", display_name="EmptyImage")
def empty_image(
    width: Side = 512, height: Side = 512, batch_size: Count = 1, color: Annotated[int, Range(0, 0xFFFFFF)] = 0
) -> Image:
    """Pictures of one colour (0xRRGGBB)."""
    return filled(batch_size, height, width, rgb(color))


@node("GetImageSize", category="image", display_name="Get Image Size", outputs=["width", "height", "batch_size"])
def image_size(image: Image) -> tuple[int, int, int]:
    """Width and height in pixels, and how many pictures there are."""
    return image.shape[2], image.shape[1], image.shape[0]


@node("ImageBatch", category="image", display_name="Batch Images")
def batch_two_images(image1: Image, image2: Image) -> Image:
    """Both in one batch, the second in the size of the first."""
    return batched([image1, image2])


@node("BatchImagesNode", category="image", display_name="Batch Images")
def batch_images(images: Annotated[list[Image], Grow("image", 2, 50)]) -> Image:
    """All in one batch, the others in the size of the first."""
    return batched(images)


@node("ImageAddNoise", category="image")
def add_noise(image: Image, seed: Seed = 0, strength: Annotated[float, Range(0.0, 1.0, step=0.01)] = 0.5) -> Image:
    """Normal noise of a standard deviation of `strength`, the same for the same seed and size."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return Image((image + noise.to(image) * strength).clamp(0, 1))


@node("ImageFromBatch", category=CATEGORY)
def image_from_batch(image: Image, batch_index: Annotated[int, Range(0, 4095)] = 0, length: Count = 1) -> Image:
    """Some pictures of a batch; beyond its end, what is left of it or its last one."""
    start = min(batch_index, len(image) - 1)
    return Image(image[start : start + length])


@node("RepeatImageBatch", category=CATEGORY)
def repeat_images(image: Image, amount: Count = 1) -> Image:
    """The batch over and over."""
    return Image(image.repeat(amount, 1, 1, 1))


@node("RebatchImages", category=CATEGORY, display_name="Rebatch Images")
def rebatch_images(images: list[Image], batch_size: Count = 1) -> list[Image]:
    """A list of pictures in batches of `batch_size`; those of another size begin a batch of their own."""
    groups: list[list[torch.Tensor]] = []
    for picture in (picture for image in images for picture in image):
        if not groups or len(groups[-1]) == batch_size or groups[-1][0].shape != picture.shape:
            groups.append([])
        groups[-1].append(picture)
    return [Image(torch.stack(group)) for group in groups]


@node("ImageRGBToYUV", category=CATEGORY, outputs=["Y", "U", "V"])
def rgb_to_yuv(image: Image) -> tuple[Image, Image, Image]:
    """Brightness, and the differences of blue and red from it, each as a grey picture (ITU-R BT.601)."""
    from kornia.color import rgb_to_ycbcr  # late: 0.4 s, and only these two nodes need it

    split = rgb_to_ycbcr(image[..., :3].movedim(-1, 1))
    y, u, v = (Image(plane[..., None].repeat(1, 1, 1, 3)) for plane in split.unbind(1))
    return y, u, v


@node("ImageYUVToRGB", category=CATEGORY)
def yuv_to_rgb(Y: Image, U: Image, V: Image) -> Image:  # noqa: N803  # the names that workflows know
    """A picture of its brightness and of the differences of blue and red from it, as Image RGB to YUV gives them."""
    from kornia.color import ycbcr_to_rgb

    planes = torch.stack([plane.mean(dim=-1) for plane in (Y, U, V)], dim=1)
    return Image(ycbcr_to_rgb(planes).clamp(0, 1).movedim(1, -1))
