"""Reading adapter files: which tensors belong to which module, by the names that each format gives them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.models.detect import detect, wrong_kind
from engine.models.weights import Weights, open_weights

Parts: TypeAlias = Mapping[str, Tensor]
"""The tensors of a file for one module, by what they are: `up`, `down`, `alpha`, `hada_w1_a`, ..."""

_DIFFUSERS = r"(?:[._]lora|\.lora_linear_layer)"
_FORMS = (
    (rf"\.lora_down\.weight|{_DIFFUSERS}\.down\.weight|\.lora_A(?:\.default\w*)?\.weight", "down"),
    (rf"\.lora_up\.weight|{_DIFFUSERS}\.up\.weight|\.lora_B(?:\.default\w*)?\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (r"\.alpha", "alpha"),
    (r"\.dora_scale", "dora_scale"),
    (r"\.lora_magnitude_vector(?:\.default\w*)?(?:\.weight)?", "magnitude"),
    (r"\.(?P<own>hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2)", ""),
    (r"\.(?P<own>diff|diff_b|w_norm|b_norm|on_input|oft_blocks|rescale)", ""),
    (r"\.(?P<own>[ab][12])\.weight", ""),
    (r"\.weight", "weight"),  # of IA3, which has an on_input beside it
)
_PATTERNS = tuple((re.compile(f"(?P<stem>.+?)(?:{form})"), part) for form, part in _FORMS)
_NO_CHANGE = {"alpha", "weight", "dora_scale", "magnitude", "rescale"}  # parts that mean nothing by themselves
_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_METADATA = "lora_adapter_metadata"  # where diffusers keeps the configuration that PEFT has in a file of its own


class AdapterError(EaselError):
    """An adapter that makes no sense, or is for another model."""

    code: ClassVar[str] = "bad_adapter"


@dataclass(frozen=True, slots=True, eq=False)
class AdapterFile:
    """An adapter as its file has it, not yet fitted to a net.

    `entries` has the parts for each module under the format's name of it; `unknown` are tensors of no format. `stamp`
    is the same for what was read of the same file, as long as nobody has written to it.
    """

    name: str
    entries: Mapping[str, Parts]
    unknown: tuple[str, ...] = ()
    stamp: tuple[object, ...] = field(default_factory=lambda: (object(),))

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for parts in self.entries.values() for tensor in parts.values())


def read_adapter(path: Path) -> AdapterFile:
    """The adapter in a file of any format. Raises `AdapterError`, `ArchitectureError` for a file of another kind, and
    what `open_weights` raises.
    """
    weights = open_weights(path)
    entries: dict[str, dict[str, Tensor]] = {}
    names: dict[str, list[str]] = {}
    unknown = []
    for name in weights:
        found = split(name)
        if found is None:
            unknown.append(name)
            continue
        stem, part = found
        entries.setdefault(stem, {})[part] = weights[name]
        names.setdefault(stem, []).append(name)
    for stem in [stem for stem, parts in entries.items() if not _changes(parts)]:
        unknown += names[stem]
        del entries[stem]
    if not entries:
        raise wrong_kind(path, detect(weights.shapes), "a LoRA or one of its relatives")
    _check_numbers(path, entries)
    return AdapterFile(path.name, _with_alphas(entries, weights), tuple(unknown), stamp(path))


def stamp(path: Path) -> tuple[object, ...]:
    """Which file this is, and in which state."""
    status = path.stat()
    return path.resolve(), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def split(name: str) -> tuple[str, str] | None:
    """The module that a tensor of a file is for, and what it is; None for a name of no format."""
    for pattern, part in _PATTERNS:
        match = pattern.fullmatch(name)
        if match:
            return _plain(match["stem"]), part or match["own"]
    return None


def _plain(stem: str) -> str:
    """A module's name without what wrappers of trainers put around it."""
    stem = stem.replace("base_model.model.", "")
    old = re.fullmatch(r"(.*\.attn[12])\.processor\.(to_\w+)", stem)
    if old:
        return f"{old[1]}.{'to_out.0' if old[2] == 'to_out' else old[2]}"
    text = re.fullmatch(r"(.*\.self_attn)\.(to_\w+)", stem)
    return f"{text[1]}.{_OLD_TEXT.get(text[2], text[2])}" if text else stem


def _changes(parts: Parts) -> bool:
    return bool(parts.keys() - _NO_CHANGE)


def _check_numbers(path: Path, entries: Mapping[str, Parts]) -> None:
    for stem, parts in entries.items():
        for part, tensor in parts.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise AdapterError(
                    "there are numbers in this file that are none",
                    where=f"{path.name}, {stem}",
                    got=f"NaN or infinity in {part}",
                    hint="Its training went wrong, or the file is damaged.",
                )


def _with_alphas(entries: Mapping[str, Parts], weights: Weights) -> Mapping[str, Parts]:
    """With the alphas that the metadata of a PEFT adapter says, where the file has none as a tensor."""
    try:
        config = json.loads(weights.metadata.get(_METADATA, "{}"))
    except ValueError:
        return entries
    if not isinstance(config, dict) or not config:
        return entries
    return {stem: _with_alpha(stem, parts, config) for stem, parts in entries.items()}


def _with_alpha(stem: str, parts: Parts, config: Mapping[str, Any]) -> Parts:
    if "alpha" in parts or "down" not in parts:
        return parts
    head, _, module = stem.partition(".")
    patterns = config.get(f"{head}.alpha_pattern") or {}
    fitting = (value for pattern, value in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", module))
    alpha = next(fitting, config.get(f"{head}.lora_alpha"))
    if not isinstance(alpha, int | float):
        return parts
    # rank-stabilised LoRA divides by the root of the rank (Kalajdzievski 2023)
    factor = math.sqrt(len(parts["down"])) if config.get(f"{head}.use_rslora") else 1.0
    return {**parts, "alpha": torch.tensor(float(alpha) * factor)}
