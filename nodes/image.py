"""Pictures: loaded, saved, shown, resized and inverted."""

from __future__ import annotations

from typing import Annotated

from engine.node import PLAIN, Choice, Files, NodeContext, Range, node
from engine.node.context import Place
from engine.tensors import pictures
from engine.tensors.resample import IMAGE_METHODS, resize
from engine.tensors.values import Image, Mask

InputPicture = Annotated[str, Files("input", upload="image")]
Method = Annotated[str, Choice(*IMAGE_METHODS)]
Side = Annotated[int, Range(0, 16384)]


@node("LoadImage", category="image", display_name="Load Image")
def load_image(image: InputPicture, ctx: NodeContext = PLAIN) -> tuple[Image, Mask]:
    """A picture from the input folder, and its transparency as a mask."""
    return pictures.load_picture(ctx.file("input", image))


@node("LoadImageOutput", category="image", display_name="Load Image (from Outputs)")
def load_image_output(
    image: Annotated[str, Files("output", upload="image")], ctx: NodeContext = PLAIN
) -> tuple[Image, Mask]:
    """A picture from the output folder, and its transparency as a mask."""
    return pictures.load_picture(ctx.file("output", image))


@node("LoadImageMask", category="mask", display_name="Load Image (as Mask)")
def load_image_mask(
    image: InputPicture,
    channel: Annotated[str, Choice("alpha", "red", "green", "blue")],
    ctx: NodeContext = PLAIN,
) -> Mask:
    """One channel of a picture from the input folder as a mask."""
    return pictures.load_channel(ctx.file("input", image), channel)


@node("SaveImage", category="image", display_name="Save Image", sink=True)
def save_image(images: Image, filename_prefix: str = "ComfyUI", ctx: NodeContext = PLAIN) -> None:
    """Write pictures to the output folder as PNG, with the prompt and the workflow in them."""
    _save(images, filename_prefix, "output", ctx)


@node("PreviewImage", category="image", display_name="Preview Image", sink=True)
def preview_image(images: Image, ctx: NodeContext = PLAIN) -> None:
    """Show pictures without keeping them."""
    _save(images, "preview", "temp", ctx)


@node("SaveImageWebsocket", category="api/image", sink=True, cache=False)
def send_image(images: Image, ctx: NodeContext = PLAIN) -> None:
    """Send pictures as PNG to the client that asked for them, without keeping them anywhere."""
    for number, picture in enumerate(images, start=1):
        ctx.send(pictures.png(picture, {}), "image/png")
        ctx.progress(number, len(images))


@node("ImageScale", category="image/upscaling", display_name="Upscale Image")
def scale_image(
    image: Image,
    upscale_method: Method,
    width: Side = 512,
    height: Side = 512,
    *,
    crop: Annotated[str, Choice("disabled", "center")],
) -> Image:
    """Resize to `width` x `height`; 0 keeps the proportions by the other side, two zeros keep the size."""
    old_height, old_width = image.shape[1:3]
    if width == 0 and height == 0:
        return image
    new_width = width or max(1, round(old_width * height / old_height))
    new_height = height or max(1, round(old_height * width / old_width))
    return _resized(image, new_width, new_height, upscale_method, crop)


@node("ImageScaleBy", category="image/upscaling", display_name="Upscale Image By")
def scale_image_by(
    image: Image, upscale_method: Method, scale_by: Annotated[float, Range(0.01, 8.0, step=0.01)] = 1.0
) -> Image:
    """Resize by a factor."""
    height, width = (max(1, round(side * scale_by)) for side in image.shape[1:3])
    return _resized(image, width, height, upscale_method, "disabled")


@node("ImageInvert", category="image", display_name="Invert Image")
def invert_image(image: Image) -> Image:
    """The negative."""
    return Image(1.0 - image)


def _resized(image: Image, width: int, height: int, method: str, crop: str) -> Image:
    return Image(resize(image.movedim(-1, 1), width, height, method, crop).movedim(1, -1))


def _save(images: Image, prefix: str, place: Place, ctx: NodeContext) -> None:
    height, width = images.shape[1:3]
    for number, picture in enumerate(images):
        name = prefix.replace("%batch_num%", str(number))
        ctx.save(pictures.png(picture, ctx.metadata), name, ".png", place, (width, height))
