"""Pictures and masks resized, by whichever rule is chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from torch import Tensor

from engine.node import Choice, Match, Range, Socket, Variants, node
from engine.tensors import masks
from engine.tensors.images import resized
from engine.tensors.resample import IMAGE_METHODS

MEGAPIXEL = 1024 * 1024

Same = Annotated[Any, Match("input_type", "IMAGE,MASK")]
Side = Annotated[int, Range(0, 16384)]
Crop = Annotated[str, Choice("disabled", "center")]
Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Dimensions:
    """A width and a height; 0 keeps the proportions by the other, two zeros keep the size."""

    key: ClassVar[str] = "scale dimensions"
    width: Side = 512
    height: Side = 512
    crop: Crop = "center"

    def size(self, width: int, height: int) -> Size:
        """The new width and height of a picture of `width` x `height`; so in all of these."""
        if self.width == 0 and self.height == 0:
            return width, height
        new_width = self.width or max(1, round(width * self.height / height))
        return new_width, self.height or max(1, round(height * self.width / width))


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A factor for both sides."""

    key: ClassVar[str] = "scale by multiplier"
    multiplier: Annotated[float, Range(0.01, 8.0, step=0.01)] = 1.0

    def size(self, width: int, height: int) -> Size:
        return _scaled(width, height, self.multiplier)


@dataclass(frozen=True, slots=True)
class LongerSide:
    """The length of the longer side, 0 to keep it."""

    key: ClassVar[str] = "scale longer dimension"
    longer_size: Side = 512

    def size(self, width: int, height: int) -> Size:
        return _scaled(width, height, self.longer_size / max(width, height))


@dataclass(frozen=True, slots=True)
class ShorterSide:
    """The length of the shorter side, 0 to keep it."""

    key: ClassVar[str] = "scale shorter dimension"
    shorter_size: Side = 512

    def size(self, width: int, height: int) -> Size:
        return _scaled(width, height, self.shorter_size / min(width, height))


@dataclass(frozen=True, slots=True)
class Width:
    """The width, 0 to keep it."""

    key: ClassVar[str] = "scale width"
    width: Side = 512

    def size(self, width: int, height: int) -> Size:
        return _scaled(width, height, self.width / width)


@dataclass(frozen=True, slots=True)
class Height:
    """The height, 0 to keep it."""

    key: ClassVar[str] = "scale height"
    height: Side = 512

    def size(self, width: int, height: int) -> Size:
        return _scaled(width, height, self.height / height)


@dataclass(frozen=True, slots=True)
class TotalPixels:
    """The area in units of 1024 x 1024 pixels."""

    key: ClassVar[str] = "scale total pixels"
    megapixels: Annotated[float, Range(0.01, 16.0, step=0.01)] = 1.0

    def size(self, width: int, height: int) -> Size:
        return _scaled(width, height, math.sqrt(self.megapixels * MEGAPIXEL / (width * height)))


@dataclass(frozen=True, slots=True, eq=False)
class Like:
    """The size of another picture or mask."""

    key: ClassVar[str] = "match size"
    match: Annotated[Any, Socket("IMAGE,MASK")]
    crop: Crop = "center"

    def size(self, width: int, height: int) -> Size:  # noqa: ARG002  # the other picture alone counts
        new_height, new_width = _planes(self.match).shape[1:3]
        return new_width, new_height


@node("ResizeImageMaskNode", category="transform", display_name="Resize Image/Mask", outputs=["resized"])
def resize_image_or_mask(
    input: Same,  # noqa: A002  # the name that workflows know
    resize_type: Annotated[
        Multiplier | Dimensions | LongerSide | ShorterSide | Width | Height | TotalPixels | Like, Variants()
    ],
    scale_method: Annotated[str, Choice(*IMAGE_METHODS)] = "area",
) -> Same:
    """Resize a picture or a mask by a factor, to a size, to a side, to an area, or to the size of another."""
    planes = _planes(input)
    height, width = planes.shape[1:3]
    new_width, new_height = resize_type.size(width, height)
    crop = getattr(resize_type, "crop", "disabled")
    if planes.ndim == 4:
        return resized(planes, new_width, new_height, scale_method, crop)
    return masks.fitted(planes, new_height, new_width, scale_method, crop)


def _planes(value: Tensor) -> Tensor:
    """A picture as it is, a mask as `(B, H, W)`."""
    return value if value.ndim == 4 else masks.planes(value)


def _scaled(width: int, height: int, factor: float) -> Size:
    if factor == 0:
        return width, height
    return max(1, round(width * factor)), max(1, round(height * factor))
