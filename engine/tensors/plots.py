"""Plots drawn with Pillow: lines over a logarithmic axis, and bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from engine.tensors.values import Image

# Okabe and Ito 2008: told apart with every kind of colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 74, 20, 46, 58
LEGEND = 36
INK, GRID, PAPER = "#222222", "#dddddd", "#ffffff"
TICKS = 5
BAR = 0.6  # of the room a bar has


@dataclass(frozen=True, slots=True)
class Line:
    """A named row of points `(x, y)` with x above 0; a `Bars` panel takes the y of its first point."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram: lines over a logarithmic x, or with `bars` a bar for each line's first y."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    bars: bool = False


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a panel's values lie on the sheet."""

    x: int
    y: int
    low: float
    high: float
    first: float
    last: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        span = math.log(self.last / self.first) or 1.0
        across = 0.5 if self.first == self.last else math.log(x / self.first) / span
        return (self.x + LEFT + 12 + across * (WIDTH - LEFT - RIGHT - 24), self.up(y))

    def up(self, y: float) -> float:
        share = (y - self.low) / (self.high - self.low)
        return self.y + HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def plot(panels: Sequence[Panel], columns: int = 2) -> Image:
    """The panels in rows, and the names of the lines of the first one above them: `(1, H, W, 3)`."""
    rows = -(-len(panels) // columns)
    sheet = Pillow.new("RGB", (WIDTH * min(columns, len(panels)), LEGEND + HEIGHT * rows), PAPER)
    draw = ImageDraw.Draw(sheet)
    x = float(LEFT)
    for number, line in enumerate(panels[0].lines):
        _marker(draw, (x, LEGEND / 2 + 4), number)
        draw.text((x + 12, LEGEND / 2 + 4), line.name, INK, _font(15), anchor="lm")
        x += 36 + draw.textlength(line.name, _font(15))
    for place, panel in enumerate(panels):
        _panel(draw, panel, place % columns * WIDTH, LEGEND + place // columns * HEIGHT)
    return Image(torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255)[None])


def ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about `count` steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count or abs(high) or 1.0
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _panel(draw: ImageDraw.ImageDraw, panel: Panel, x: int, y: int) -> None:
    points = [point for line in panel.lines for point in line.points]
    values = [value for _, value in points if math.isfinite(value)] or [0.0]
    marks = ticks(0.0 if panel.bars else min(values), max(values))
    places = [place for place, _ in points] or [1.0]
    frame = _Frame(x, y, marks[0], marks[-1], min(places), max(places))
    left, right = x + LEFT, x + WIDTH - RIGHT
    draw.text((x + LEFT, y + TOP / 2), panel.title, INK, _font(17), anchor="lm")
    for mark in marks:
        draw.line([(left, frame.up(mark)), (right, frame.up(mark))], GRID)
        draw.text((left - 8, frame.up(mark)), f"{mark:g}", INK, _font(13), anchor="rm")
    draw.text((left - 8, y + TOP - 14), panel.y_label, INK, _font(13), anchor="rm")
    draw.text(((left + right) / 2, y + HEIGHT - 14), panel.x_label, INK, _font(14), anchor="mm")
    draw.line([(left, frame.up(marks[0])), (right, frame.up(marks[0]))], INK)
    if panel.bars:
        _bars(draw, panel, frame)
    else:
        _lines(draw, panel, frame)


def _lines(draw: ImageDraw.ImageDraw, panel: Panel, frame: _Frame) -> None:
    base = frame.up(frame.low)
    free = -math.inf
    for x in sorted({x for line in panel.lines for x, _ in line.points}):
        place = frame.at(x, frame.low)[0]
        draw.line([(place, base), (place, base + 5)], INK)
        if place >= free:  # names that would run into each other are left out
            draw.text((place, base + 16), f"{x:g}", INK, _font(13), anchor="mm")
            free = place + 28
    for number, line in enumerate(panel.lines):
        path = [frame.at(*point) for point in sorted(line.points) if math.isfinite(point[1])]
        draw.line(path, COLOURS[number % len(COLOURS)], width=3, joint="curve")
        for point in path:
            _marker(draw, point, number)


def _bars(draw: ImageDraw.ImageDraw, panel: Panel, frame: _Frame) -> None:
    room = (WIDTH - LEFT - RIGHT) / max(1, len(panel.lines))
    base = frame.up(frame.low)
    for number, line in enumerate(panel.lines):
        value = line.points[0][1]
        middle, top = frame.x + LEFT + (number + 0.5) * room, frame.up(value)
        colour = COLOURS[number % len(COLOURS)]
        draw.rectangle((middle - room * BAR / 2, top, middle + room * BAR / 2, base), fill=colour)
        draw.text((middle, top - 10), f"{value:.3g}", INK, _font(13), anchor="mm")
        draw.text((middle, base + 16), line.name, INK, _font(13), anchor="mm")


def _marker(draw: ImageDraw.ImageDraw, point: tuple[float, float], number: int) -> None:
    """A small sign whose colour and shape name a line."""
    x, y = point
    colour, radius = COLOURS[number % len(COLOURS)], 5
    if number % 4 == 0:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif number % 4 == 1:
        draw.rectangle((x - radius + 1, y - radius + 1, x + radius - 1, y + radius - 1), fill=colour)
    else:
        draw.regular_polygon((x, y, radius + 1), 3 if number % 4 == 2 else 4, 0 if number % 4 == 2 else 45, fill=colour)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
