"""Procedural scenes with captions: what the demo model is trained on.

A scene is one or two flat shapes on a flat background, 64 x 64 pixels unless another side is asked for. Everything
random is drawn from the generator that is passed in, so that a seed gives the same scenes everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

SIZE = 64
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 170, 70),
    "blue": (45, 80, 220),
    "yellow": (250, 215, 50),
    "orange": (250, 140, 30),
    "purple": (140, 60, 180),
    "white": (245, 245, 245),
    "black": (25, 25, 25),
}
RADII: dict[str, float] = {"small": 7.0, "medium": 9.5, "large": 12.0}
PLACES: dict[str, tuple[float, float]] = {
    "in the centre": (0.5, 0.5),
    "at the top": (0.5, 17 / 64),
    "at the bottom": (0.5, 47 / 64),
    "on the left": (17 / 64, 0.5),
    "on the right": (47 / 64, 0.5),
    "in the top left corner": (17 / 64, 17 / 64),
    "in the top right corner": (47 / 64, 17 / 64),
    "in the bottom left corner": (17 / 64, 47 / 64),
    "in the bottom right corner": (47 / 64, 47 / 64),
}
RELATIONS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "above": ((0.5, 17 / 64), (0.5, 47 / 64)),
    "below": ((0.5, 47 / 64), (0.5, 17 / 64)),
    "left of": ((17 / 64, 0.5), (47 / 64, 0.5)),
    "right of": ((47 / 64, 0.5), (17 / 64, 0.5)),
}


Inside: TypeAlias = Callable[[Pixels, Pixels], NDArray[np.bool_]]
"""Whether points `x`, `y`, in units of the radius about the centre, y down, belong to a form."""


def _polygon(points: list[tuple[float, float]]) -> Inside:
    """Membership in a polygon by the even-odd rule; points in units of the radius, y down."""

    def inside(x: Pixels, y: Pixels) -> NDArray[np.bool_]:
        result = np.zeros(x.shape, dtype=bool)
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            crosses = (y0 > y) != (y1 > y)
            with np.errstate(divide="ignore", invalid="ignore"):
                result ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        return result

    return inside


def _star() -> list[tuple[float, float]]:
    angles = np.pi * np.arange(10) / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 1.18, 0.5)
    return [(float(r * np.cos(a)), float(r * np.sin(a) + 0.08)) for r, a in zip(radii, angles, strict=True)]


def _heart(x: Pixels, y: Pixels) -> NDArray[np.bool_]:
    u, v = x / 0.92, (-y + 0.05) / 0.92
    return np.asarray((u * u + v * v - 0.9) ** 3 - 1.1 * u * u * v**3 < 0)


def _shield(x: Pixels, y: Pixels) -> NDArray[np.bool_]:
    return np.asarray((y > -0.8) & (x**2 + (np.clip(y + 0.1, 0, None) / 1.15) ** 2 < 1))


def _outline(inside: Inside) -> Inside:
    """A line around the form drawn smaller. Line and hole are as wide as a latent cell, four pixels, or they blur."""
    scale, width = 0.62, 0.55
    angles = 2 * np.pi * np.arange(24) / 24
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def line(x: Pixels, y: Pixels) -> NDArray[np.bool_]:
        x, y = x / scale, y / scale
        near = np.any([inside(x + width * dx, y + width * dy) for dx, dy in (*circle, *circle / 2)], axis=0)
        return np.asarray(near & ~inside(x, y))

    return line


SHAPES: dict[str, Inside] = {
    "circle": lambda x, y: x * x + y * y < 1.0,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 0.9,
    "triangle": _polygon([(0.0, -1.05), (1.1, 0.9), (-1.1, 0.9)]),
    "diamond": lambda x, y: np.abs(x) + np.abs(y) < 1.15,
    "cross": lambda x, y: (np.minimum(np.abs(x), np.abs(y)) < 0.32) & (np.maximum(np.abs(x), np.abs(y)) < 1.1),
    "star": _polygon(_star()),
    "heart": _heart,
}
OUTLINED: dict[str, Inside] = {f"outlined {name}": _outline(inside) for name, inside in SHAPES.items()}
"""What the LoRA learns to draw: the shapes as lines, all of one size."""
NOVEL: dict[str, Inside] = {"shield": _shield}
"""What the textual inversion learns a word for."""
FORMS = SHAPES | OUTLINED | NOVEL
"""Everything that can be drawn. The demo model has seen `SHAPES` alone."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape: what it is and where its centre lies, as fractions of width and height."""

    shape: str
    colour: str
    size: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Things on a background. `relation` places the first relative to the second, `place` a single one."""

    background: str
    things: tuple[Thing, ...]
    relation: str | None = None
    place: str | None = None


def held_out(scene: Scene) -> bool:
    """Whether the scene's combination of shapes, colours and relation is kept out of training (one in eight)."""
    words = [word for thing in scene.things for word in (thing.shape, thing.colour)]
    key = " ".join([*words, scene.relation or scene.place or ""])
    return hashlib.sha256(key.encode()).digest()[0] % 8 == 0


def random_scene(rng: Generator, *, testing: bool = False) -> Scene:
    """A scene of the training split, or of the held-out split if `testing`."""
    while True:
        scene = _draw(rng)
        if held_out(scene) == testing:
            return scene


def _draw(rng: Generator) -> Scene:
    background = _pick(rng, COLOURS)
    if rng.random() < 0.3:
        place = _pick(rng, PLACES)
        return Scene(background, (_thing(rng, background, PLACES[place]),), place=place)
    relation = _pick(rng, RELATIONS)
    first, second = RELATIONS[relation]
    return Scene(background, (_thing(rng, background, first), _thing(rng, background, second)), relation=relation)


def _thing(rng: Generator, background: str, centre: tuple[float, float]) -> Thing:
    colour = _pick(rng, [name for name in COLOURS if name != background])
    jitter = rng.integers(-1, 2, 2) / SIZE
    return Thing(
        _pick(rng, SHAPES), colour, _pick(rng, RADII), centre[0] + float(jitter[0]), centre[1] + float(jitter[1])
    )


def _pick(rng: Generator, names: Iterable[str]) -> str:
    choices = list(names)
    return choices[int(rng.integers(len(choices)))]


def caption(scene: Scene, rng: Generator | None = None) -> str:
    """The scene in words. With `rng`, sizes, the background and the place are sometimes left unsaid."""

    def said(chance: float) -> bool:
        return rng is None or rng.random() < chance

    def noun(thing: Thing) -> str:
        words = [thing.size] if said(0.85) else []
        words += [thing.colour, thing.shape]
        return f"{'an' if words[0][0] in 'aeiou' else 'a'} {' '.join(words)}"

    text = noun(scene.things[0])
    if scene.relation:
        text += f" {scene.relation} {noun(scene.things[1])}"
    elif scene.place and said(0.85 if scene.place != "in the centre" else 0.5):
        text += f" {scene.place}"
    if said(0.9):
        text += f" on {'an' if scene.background[0] in 'aeiou' else 'a'} {scene.background} background"
    return text


def render(scene: Scene, side: int = SIZE, samples: int = 4) -> Pixels:
    """The picture `(side, side, 3)` in 0..1, with `samples` x `samples` points a pixel against jagged edges."""
    picture = np.empty((side, side, 3), dtype=np.float32)
    picture[:] = _rgb(scene.background)
    for thing in scene.things:
        box, cover = coverage(thing, side, samples)
        patch = picture[box]
        patch += cover[..., None] * (_rgb(thing.colour) - patch)
    return picture


def coverage(thing: Thing, side: int = SIZE, samples: int = 4) -> tuple[tuple[slice, slice], Pixels]:
    """How much of each pixel a thing covers (0..1), and the box of the picture `side` wide that this is about."""
    return _coverage(thing.shape, thing.size, thing.x, thing.y, side, samples)


@lru_cache(4096)
def _coverage(shape: str, size: str, x: float, y: float, side: int, samples: int) -> tuple[tuple[slice, slice], Pixels]:
    radius = RADII[size] * side / SIZE
    cx, cy = x * side, y * side
    reach = radius * 1.25 + 1
    x0, x1 = max(0, int(cx - reach)), min(side, int(cx + reach) + 2)
    y0, y1 = max(0, int(cy - reach)), min(side, int(cy + reach) + 2)
    offsets = _offsets(samples)
    xs = ((np.arange(x0, x1)[:, None] + offsets).ravel() - cx) / radius
    ys = ((np.arange(y0, y1)[:, None] + offsets).ravel() - cy) / radius
    inside = FORMS[shape](*np.meshgrid(xs.astype(np.float32), ys.astype(np.float32)))
    cover = inside.reshape(y1 - y0, samples, x1 - x0, samples).mean(axis=(1, 3), dtype=np.float32)
    return (slice(y0, y1), slice(x0, x1)), cover


@lru_cache
def _offsets(samples: int) -> Pixels:
    return ((np.arange(samples) + 0.5) / samples).astype(np.float32)[None]


def _rgb(name: str) -> Pixels:
    return np.asarray(COLOURS[name], dtype=np.float32) / 255.0
