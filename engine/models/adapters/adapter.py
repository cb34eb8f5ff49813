"""An adapter fitted to a net: the changes of its weights by their names, and what of the file fits nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn

from engine.models.adapters.building import Leaf, Shape, changes_of, tensors_of
from engine.models.adapters.changes import Change
from engine.models.adapters.names import Tower, modules_of, text_names, unet_names
from engine.models.adapters.reading import AdapterError, AdapterFile
from engine.models.nets.unet import UNet
from engine.models.widths import FAMILIES_BY_TOKENS, named

Shapes: TypeAlias = Mapping[str, Shape]

_FAMILY_MARKS = {
    "lora_te2_": "SDXL",
    "text_encoder_2.": "SDXL",
    "double_blocks": "Flux",
    "single_transformer_blocks": "Flux",
    "joint_blocks": "SD 3",
}
_PARTS_WITH_INPUTS = ("down", "hada_w1_b", "lokr_w2_b")
_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Adapter:
    """Changes by the names of the parameters that they change, in the net's own words."""

    name: str
    changes: Mapping[str, tuple[Change, ...]]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors in all changes."""
        return sum(tensor.nbytes for own in self.changes.values() for change in own for tensor in tensors_of(change))


Stack: TypeAlias = tuple[tuple[Adapter, float], ...]
"""Adapters with their strengths, in the order in which they are applied."""


def names_for(net: nn.Module, tower: Tower = "only") -> dict[str, str]:
    """Every name that a format has for a module of `net`, a UNet or a text tower, to the module.

    `tower` says which of a family's text towers it is.
    """
    modules = modules_of(net.state_dict())
    if isinstance(net, UNet):
        return unet_names(modules, net.config.num_res_blocks)
    return text_names(modules, tower)


def fitted(file: AdapterFile, net: nn.Module, tower: Tower = "only") -> Adapter:
    """The part of `file` that is for `net`. Raises `AdapterError` for parts that do not fit their weights."""
    names, shapes = names_for(net, tower), {name: tuple(weight.shape) for name, weight in net.state_dict().items()}
    changes: dict[str, list[Change]] = {}
    for stem, parts in file.entries.items():
        if stem not in names:
            continue
        module = names[stem]
        own: dict[Leaf, Shape] = {
            leaf: shapes[f"{module}.{leaf}"] for leaf in ("weight", "bias") if f"{module}.{leaf}" in shapes
        }
        try:
            built = changes_of(parts, own, f"{file.name}, {stem}")
        except AdapterError as error:
            raise _of_family(error, file) from error
        for leaf, change in built:
            changes.setdefault(f"{module}.{leaf}", []).append(change)
    return Adapter(file.name, {name: tuple(own) for name, own in changes.items()})


def unmatched(
    file: AdapterFile, nets: Iterable[nn.Module], towers: Iterable[tuple[nn.Module, Tower]] = ()
) -> list[str]:
    """The names in `file` that are for none of `nets`, nor for one of several text `towers`."""
    known = {name for net in nets for name in names_for(net)}
    known |= {name for net, tower in towers for name in names_for(net, tower)}
    return [*(stem for stem in file.entries if stem not in known), *file.unknown]


def for_text(stem: str) -> bool:
    """Whether a format's name of a module is one of a text tower's."""
    return "text_model" in stem or stem.startswith(("lora_te", "text_encoder"))


def warning(file: AdapterFile, left: list[str]) -> str:
    """What to tell the user about names that fit nothing."""
    names = ", ".join(left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
    return (
        f"{file.name}: {len(left)} of {len(file.entries) + len(file.unknown)} parts fit nothing in this model: {names}"
    )


def nothing_fits(file: AdapterFile) -> AdapterError:
    """The error for an adapter of which no part is for the model."""
    first = next(iter(file.entries))
    error = AdapterError(
        "nothing in this adapter is for this model", where=file.name, got=f"parts for {first} and others"
    )
    return _of_family(error, file)


def family(file: AdapterFile) -> str | None:
    """Which family of models an adapter is for, where its names or shapes say so."""
    for stem, parts in file.entries.items():
        if stem.endswith(("attn2_to_k", "attn2.to_k")):
            found = named(FAMILIES_BY_TOKENS, (parts[name].shape[-1] for name in _PARTS_WITH_INPUTS if name in parts))
            if found is not None:
                return found
    return next((name for mark, name in _FAMILY_MARKS.items() if any(mark in stem for stem in file.entries)), None)


def _of_family(error: AdapterError, file: AdapterFile) -> AdapterError:
    of = family(file)
    hint = f"It is for {of}." if of else "It is for another model, or for a part of one that is not there."
    return AdapterError(error.message, where=error.where, expected=error.expected, got=error.got, hint=hint)
