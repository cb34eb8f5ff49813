"""What is in a weight file: family, evidence, parts with their sizes. For safetensors only the header is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.models.describe import base_of, missing_in
from engine.models.detect import Detection, detect
from engine.models.formats import is_pickle
from engine.store.safetensors_header import TensorInfo, read_header

_PARTS = (
    ("UNet", ("model.diffusion_model.",)),
    ("EMA weights", ("model_ema.",)),
    ("autoencoder", ("first_stage_model.",)),
    ("text encoder", ("cond_stage_model.", "conditioner.")),
    ("image encoder", ("embedder.",)),
    ("depth net", ("depth_model.",)),
    ("ControlNet", ("control_model.",)),
)
_REST = "other tensors"


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a file: how many tensors and numbers it has, in how many bytes and which types."""

    name: str
    tensors: int
    parameters: int
    nbytes: int
    dtypes: tuple[str, ...]
    precision: str = ""  # the type that most of the bytes have


@dataclass(frozen=True, slots=True)
class Report:
    """What a weight file is and holds."""

    detection: Detection
    components: tuple[Component, ...]
    metadata: Mapping[str, str]
    base: str | None = None  # what it belongs to, if it is no whole model
    missing: tuple[str, ...] = ()  # what must come from elsewhere

    @property
    def parameters(self) -> int:
        """Numbers in all parts."""
        return sum(component.parameters for component in self.components)

    @property
    def precision(self) -> str:
        """The type that most of the bytes have, and that there are others."""
        most = max(self.components, key=lambda component: component.nbytes, default=None)
        types = {dtype for component in self.components for dtype in component.dtypes if dtype[0] in "FB"} - {"BOOL"}
        if most is None:
            return "none"
        return most.precision + (" and others" if len(types) > 1 else "")

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(component.nbytes for component in self.components)


def inspect(path: Path) -> Report:
    """The report on the file at `path`.

    Raises `MissingFileError`, `FileFormatError` for a damaged file, and for pickles what `open_weights` raises.
    """
    tensors, metadata = _read(path)
    shapes = {name: info.shape for name, info in tensors.items()}
    detection = detect(shapes)
    components = _components(tensors)
    return Report(detection, components, metadata, base_of(detection, shapes), missing_in(detection, shapes))


def _read(path: Path) -> tuple[Mapping[str, TensorInfo], Mapping[str, str]]:
    if is_pickle(path):
        from engine.models.weights import open_weights  # the only way that needs torch

        weights = open_weights(path)
        return weights.tensors, weights.metadata
    header = read_header(path)
    return header.tensors, header.metadata


def _components(tensors: Mapping[str, TensorInfo]) -> tuple[Component, ...]:
    """The parts that are there, in the order of `_PARTS`; what belongs to none comes last."""
    groups: dict[str, list[TensorInfo]] = {name: [] for name in (*(part for part, _ in _PARTS), _REST)}
    for name, info in tensors.items():
        part = next((part for part, prefixes in _PARTS if name.startswith(prefixes)), _REST)
        groups[part].append(info)
    return tuple(_component(part, infos) for part, infos in groups.items() if infos)


def _component(name: str, infos: list[TensorInfo]) -> Component:
    return Component(
        name,
        len(infos),
        sum(math.prod(info.shape) for info in infos),
        sum(info.nbytes for info in infos),
        tuple(sorted({info.dtype for info in infos})),
        _precision(infos),
    )


def _precision(infos: list[TensorInfo]) -> str:
    sums: dict[str, int] = {}
    for info in infos:
        sums[info.dtype] = sums.get(info.dtype, 0) + info.nbytes
    return max(sums, key=lambda dtype: sums[dtype])
