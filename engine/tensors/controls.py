"""Pictures `(B, H, W, C)` in 0..1 turned into what control nets read: lines, soft edges, depth, normals, colours.

None of this needs weights. Lines are white on black.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.tensors.resample import resize

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
SCALES = (1.0, 2.0, 4.0)  # of the Gaussians that soft edges are taken at, in pixels
LINE_BLUR = 6.0
LINE_FLOOR, LINE_MEDIAN = 16 / 255, 127 / 255  # what the median of the lines becomes, and the least it is taken for
SKETCH_FINE, SKETCH_WIDE = 0.5, 5.0


def grey(image: Tensor) -> Tensor:
    """Brightness `(B, 1, H, W)`; of pictures without colours their one channel."""
    planes = image.movedim(-1, 1)
    if planes.shape[1] < 3:
        return planes[:, :1]
    return (planes[:, :3] * torch.tensor(LUMA).to(planes)[:, None, None]).sum(dim=1, keepdim=True)


def smoothed(planes: Tensor, sigma: float) -> Tensor:
    """`planes` `(B, C, H, W)` after a Gaussian of `sigma` pixels, cut off at three of them; edges are repeated."""
    radius = math.ceil(3 * sigma)
    axis = torch.arange(-radius, radius + 1, dtype=planes.dtype)
    kernel = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(planes.device)
    flat = planes.flatten(0, 1)[:, None]
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel.reshape(1, 1, 1, -1))
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), mode="replicate"), kernel.reshape(1, 1, -1, 1))
    return flat.reshape(planes.shape)


def slopes(planes: Tensor) -> tuple[Tensor, Tensor]:
    """The change per pixel to the right and down of `planes` `(B, C, H, W)` (Sobel's operator)."""
    flat = F.pad(planes.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(planes) / 8
    right, down = F.conv2d(flat, torch.stack([kernel, kernel.T])[:, None]).unbind(1)
    return right.reshape(planes.shape), down.reshape(planes.shape)


def soft_edges(image: Tensor) -> Tensor:
    """Edges `(B, H, W)`: the strongest slope over several scales, 1 at the strongest of each picture."""
    brightness = grey(image)
    best = torch.zeros_like(brightness)
    for sigma in SCALES:
        right, down = slopes(smoothed(brightness, sigma))
        best = torch.maximum(best, sigma * torch.hypot(right, down))  # Lindeberg 1998: comparable over the scales
    highest = best.amax(dim=(1, 2, 3), keepdim=True)
    return (best / highest.clamp(min=1 / 255))[:, 0]


def line_art(image: Tensor, sigma: float = LINE_BLUR, threshold: float = 8 / 255) -> Tensor:
    """Dark lines `(B, H, W)`: how much darker than its surroundings of `sigma` pixels a pixel is in every channel.

    Scaled so that the median of what is above the threshold becomes a half.
    """
    planes = image[..., :3].movedim(-1, 1)
    darker = (smoothed(planes, sigma) - planes).amin(dim=1).clamp(min=0)
    middles = []
    for picture in darker:
        lines = picture[picture > threshold]
        middles.append(max(LINE_FLOOR, lines.median().item()) if lines.numel() else LINE_FLOOR)
    return (darker / torch.tensor(middles).to(darker)[:, None, None] * LINE_MEDIAN).clamp(0, 1)


def scribble(image: Tensor, threshold: float) -> Tensor:
    """Rough lines `(B, H, W)` of 0 or 1: where a fine Gaussian lies below a wide one by more than `threshold / 2`.

    Winnemoeller et al. 2012, "XDoG", section 2, in its hard form.
    """
    planes = image[..., :3].movedim(-1, 1)
    difference = (smoothed(planes, SKETCH_WIDE) - smoothed(planes, SKETCH_FINE)).amin(dim=1)
    return (2 * difference > threshold).to(image)


def without_detail(image: Tensor, factor: int) -> Tensor:
    """`image` made `factor` times smaller and as large as before again."""
    height, width = image.shape[1:3]
    planes = image.movedim(-1, 1)
    small = resize(planes, max(1, width // factor), max(1, height // factor), "area")
    return resize(small, width, height, "bicubic").clamp(0, 1).movedim(1, -1)


def colour_blocks(image: Tensor, size: int) -> Tensor:
    """`image` in squares of about `size` pixels, each of its mean colour."""
    height, width = image.shape[1:3]
    planes = image.movedim(-1, 1)
    small = resize(planes, max(1, round(width / size)), max(1, round(height / size)), "area")
    return resize(small, width, height, "nearest-exact").movedim(1, -1)


def shuffled(image: Tensor, seed: int, cell: int) -> Tensor:
    """`image` warped by a smooth random field with a bump about every `cell` pixels, so that only its content is left.

    Zhang et al. 2023, "Adding Conditional Control", the shuffle control of version 1.1.
    """
    height, width = image.shape[1:3]
    generator = torch.Generator().manual_seed(seed)
    fields = []
    for _ in image:
        coarse = torch.rand(1, 2, height // cell + 2, width // cell + 2, generator=generator)
        field = F.interpolate(coarse, size=(height, width), mode="bicubic")[0]
        low, high = field.amin(dim=(1, 2), keepdim=True), field.amax(dim=(1, 2), keepdim=True)
        fields.append(((field - low) / (high - low).clamp(min=1e-6) * 2 - 1).movedim(0, -1))
    grid = torch.stack(fields).to(image)
    return F.grid_sample(image.movedim(-1, 1), grid, "bilinear", "border", align_corners=True).movedim(1, -1)


def stretched_depth(image: Tensor, *, far_is_bright: bool) -> Tensor:
    """A depth picture as depth controls read it `(B, H, W)`: near is bright, the range of each picture is 0..1.

    The outermost hundredth at both ends is cut off, since a few stray pixels would flatten the rest.
    """
    depth = grey(image)[:, 0]
    flat = depth.flatten(1).sort(dim=1).values
    last = flat.shape[1] - 1
    low, high = flat[:, round(0.01 * last), None, None], flat[:, round(0.99 * last), None, None]
    near = ((depth - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return 1 - near if far_is_bright else near


def normals(depth: Tensor, strength: float, background: float) -> Tensor:
    """Surface normals of a depth map `(B, H, W)`, near is 1, as colours `(B, H, W, 3)`.

    Red points right, green up, blue to the viewer, 0..1 standing for -1..1. `strength` is how many pixels the depth
    range measures, in hundreds; what is not nearer than `background` is flat.
    """
    right, down = (slope * 100 * strength for slope in slopes(depth[:, None]))
    flat = depth[:, None] <= background
    x, y = torch.where(flat, 0.0, -right), torch.where(flat, 0.0, down)
    vectors = F.normalize(torch.cat([x, y, torch.ones_like(x)], dim=1), dim=1)
    return (vectors / 2 + 0.5).movedim(1, -1)
