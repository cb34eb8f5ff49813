"""Reads a scene back out of the pixels, without any learned part.

Background: the palette colour nearest to most of the border. Things: connected regions that differ from it. Colour: the
palette colour nearest to most of a region's inner pixels. Shape and size: the template with the best overlap (soft
intersection over union) over every shape that is asked for, every size and small shift. Place and relation: from the
centres of the templates.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.scenes import COLOURS, PLACES, RADII, RELATIONS, SHAPES, SIZE, Pixels, Scene, Thing, coverage

MIN_AREA = 24
MIN_OVERLAP = 0.7
MAX_OFF_PLACE = 7.0
_NAMES = list(COLOURS)
_PALETTE = np.asarray(list(COLOURS.values()), dtype=np.float32) / 255.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing found in a picture; `x`, `y` in pixels; `overlap` in 0..1 says how well the template fits."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    overlap: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture shows."""

    background: str
    things: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which attributes of the asked scene the picture shows."""

    background: bool
    count: bool
    colour: bool
    shape: bool
    size: bool
    place: bool

    @property
    def right(self) -> bool:
        """Every attribute at once."""
        return all((self.background, self.count, self.colour, self.shape, self.size, self.place))


def read(picture: Pixels, shapes: Collection[str] = tuple(SHAPES)) -> Reading:
    """The scene in a picture `(SIZE, SIZE, 3)` in 0..1, whose things are among `shapes`."""
    labels = _nearest(picture)
    border = np.concatenate([labels[:2].ravel(), labels[-2:].ravel(), labels[:, :2].ravel(), labels[:, -2:].ravel()])
    background = int(np.bincount(border, minlength=len(_NAMES)).argmax())
    ground = np.median(picture[labels == background], axis=0)
    regions = _regions(np.linalg.norm(picture - ground, axis=-1) > 0.25)
    things = [_recognise(picture, region, ground, shapes) for region in regions if region.sum() >= MIN_AREA]
    return Reading(_NAMES[background], tuple(things))


def check(picture: Pixels, scene: Scene, shapes: Collection[str] = tuple(SHAPES)) -> Verdict:
    """Compares a picture with the scene that was asked for; things are matched by where they should be."""
    reading = read(picture, shapes)
    count = len(reading.things) == len(scene.things)
    seen = [_closest(reading.things, thing) for thing in scene.things]
    pairs = [(thing, found) for thing, found in zip(scene.things, seen, strict=True) if found is not None]
    whole = count and len(pairs) == len(scene.things)
    return Verdict(
        background=reading.background == scene.background,
        count=count,
        colour=whole and all(found.colour == thing.colour for thing, found in pairs),
        shape=whole and all(found.shape == thing.shape and found.overlap >= MIN_OVERLAP for thing, found in pairs),
        size=whole and all(found.size == thing.size for thing, found in pairs),
        place=whole and _placed(scene, [found for _, found in pairs]),
    )


def furthest_off(picture: Pixels, scene: Scene) -> float:
    """How many pixels the thing that is worst placed lies from where it was asked for, infinity if there is none."""
    found = [(_closest(read(picture).things, thing), thing) for thing in scene.things]
    return max(
        float(np.hypot(seen.x - thing.x * SIZE, seen.y - thing.y * SIZE)) if seen else np.inf for seen, thing in found
    )


def _placed(scene: Scene, found: list[Seen]) -> bool:
    if scene.relation:
        first, second = found
        dx, dy = second.x - first.x, second.y - first.y
        (x0, y0), (x1, y1) = RELATIONS[scene.relation]
        along, across = (dx, dy) if x0 != x1 else (dy, dx)
        forward = (x1 - x0) + (y1 - y0) > 0
        return (along > 10) == forward and abs(along) > 10 and abs(across) < abs(along)
    x, y = PLACES[scene.place or "in the centre"]
    return abs(found[0].x - x * SIZE) < MAX_OFF_PLACE and abs(found[0].y - y * SIZE) < MAX_OFF_PLACE


def _closest(things: tuple[Seen, ...], wanted: Thing) -> Seen | None:
    if not things:
        return None
    return min(things, key=lambda seen: (seen.x - wanted.x * SIZE) ** 2 + (seen.y - wanted.y * SIZE) ** 2)


def _nearest(picture: Pixels) -> NDArray[np.int64]:
    distances = np.square(picture[:, :, None] - _PALETTE[None, None]).sum(axis=-1)
    return np.asarray(distances.argmin(axis=-1))


def _regions(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Connected regions (sides and corners touch) of `mask`, by growing each from its first pixel."""
    left, regions = mask.copy(), []
    while left.any():
        region = np.zeros_like(mask)
        region[np.unravel_index(left.argmax(), mask.shape)] = True
        while True:
            padded = np.pad(region, 1)
            grown = np.zeros_like(mask)
            for dy in range(3):
                for dx in range(3):
                    grown |= padded[dy : dy + SIZE, dx : dx + SIZE]
            grown &= left
            if (grown == region).all():
                break
            region = grown
        left &= ~region
        regions.append(region)
    return regions


def _recognise(picture: Pixels, region: NDArray[np.bool_], ground: Pixels, shapes: Collection[str]) -> Seen:
    distance = np.linalg.norm(picture - ground, axis=-1)
    inner = region & (distance >= 0.8 * np.quantile(distance[region], 0.7))
    colour = int(np.bincount(_nearest(picture)[inner], minlength=len(_NAMES)).argmax())
    axis = np.median(picture[inner], axis=0) - ground
    cover = np.clip((picture - ground) @ axis / max(float(axis @ axis), 1e-6), 0, 1) * _near(region)
    ys, xs = np.nonzero(region)
    cx, cy = (xs.min() + xs.max() + 1) / 2, (ys.min() + ys.max() + 1) / 2
    overlap, shape, size, x, y = max(_fit(cover, cx, cy, shape, size) for shape in shapes for size in RADII)
    return Seen(shape, _NAMES[colour], size, x, y, overlap)


def _near(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(region, 1)
    return np.asarray(np.any([padded[dy : dy + SIZE, dx : dx + SIZE] for dy in range(3) for dx in range(3)], axis=0))


def _fit(cover: Pixels, cx: float, cy: float, shape: str, size: str) -> tuple[float, str, str, float, float]:
    """Best overlap of one template near a bounding-box centre, over shifts of up to two pixels."""
    best = (-1.0, shape, size, cx, cy)
    template, offset_x, offset_y = _template(shape, size)
    reach = template.shape[0] // 2
    padded = np.pad(cover, reach + 4)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            x, y = round(cx - offset_x) + dx, round(cy - offset_y) + dy
            top, left = y - reach + reach + 4, x - reach + reach + 4
            if min(top, left) < 0 or max(top, left) + template.shape[0] > padded.shape[0]:
                continue
            window = padded[top : top + template.shape[0], left : left + template.shape[1]]
            both = np.minimum(window, template).sum()
            overlap = float(both / (cover.sum() + template.sum() - both))
            best = max(best, (overlap, shape, size, float(x), float(y)))
    return best


@lru_cache
def _template(shape: str, size: str) -> tuple[Pixels, float, float]:
    """A shape drawn about the middle of a square, and how far its bounding box's centre lies from the shape's own."""
    box, cover = coverage(Thing(shape, "black", size, 0.5, 0.5))
    reach = 20
    square = np.zeros((2 * reach, 2 * reach), dtype=np.float32)
    rows, columns = box
    shift = reach - SIZE // 2
    square[rows.start + shift : rows.stop + shift, columns.start + shift : columns.stop + shift] = cover
    ys, xs = np.nonzero(square > 0.5)
    return square, (xs.min() + xs.max() + 1) / 2 - reach, (ys.min() + ys.max() + 1) / 2 - reach
