"""Hypernetworks: small nets beside a UNet's attention that change what keys and values are made of.

Source: the published description of NovelAI's improvements (2022), and the files of the trainers that follow it: for
each width of what attention takes in, a net for keys and one for values, each linear layers with an activation and
perhaps a normalisation after them, added to its input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.foundation.errors import EaselError
from engine.models.detect import detect, wrong_kind
from engine.models.nets.patches import Patch, Site
from engine.models.weights import open_weights

Activation: TypeAlias = Callable[[Tensor], Tensor]

_ACTIVATIONS: Mapping[str, Activation] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "leakyrelu": F.leaky_relu,
    "elu": F.elu,
    "swish": F.hardswish,  # what the trainers call so
    "hardswish": F.hardswish,
    "silu": F.silu,
    "mish": F.mish,
    "gelu": F.gelu,
    "celu": F.celu,
    "selu": F.selu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
_NAME = re.compile(r"(?P<width>\d+)\.(?P<side>[01])\.linear\.?(?P<layer>\d+)\.(?P<leaf>weight|bias)")


class HypernetworkError(EaselError):
    """A hypernetwork that makes no sense, or is for another model."""

    code: ClassVar[str] = "bad_hypernetwork"


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A linear layer (`weight` `(out, in)`) or a normalisation (`weight` `(width,)`)."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """`x` `(..., in)` after the layer."""
        weight, bias = self.weight.to(x), None if self.bias is None else self.bias.to(x)
        return F.linear(x, weight, bias) if weight.ndim == 2 else F.layer_norm(x, x.shape[-1:], weight, bias)


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """The net for keys or for values of one width. `ends_active`: the activation follows the last layer too."""

    layers: tuple[Layer, ...]
    activation: Activation
    ends_active: bool

    def __call__(self, x: Tensor) -> Tensor:
        """What is added to `x` `(B, N, width)`."""
        linear = sum(layer.weight.ndim == 2 for layer in self.layers)
        for layer in self.layers:
            x = layer(x)
            if layer.weight.ndim == 2:
                linear -= 1
                if linear or self.ends_active:
                    x = self.activation(x)
        return x


@dataclass(frozen=True, slots=True, eq=False)
class Hypernetwork(Patch):
    """The nets by the width of what they change: keys first, then values; times `strength`."""

    branches: Mapping[int, tuple[Branch, Branch]]
    strength: float = 1.0

    def sources(self, site: Site, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """What keys and values are made of."""
        found = self.branches.get(keys.shape[-1])
        if found is None:
            return keys, values
        return keys + self.strength * found[0](keys), values + self.strength * found[1](values)


def read_hypernetwork(path: Path) -> Hypernetwork:
    """The hypernetwork in a file, at strength 1.

    Raises `HypernetworkError`, `ArchitectureError` for a file of another kind, and what `open_weights` raises.
    """
    weights = open_weights(path)
    detection = detect(weights.shapes)
    if detection.kind != "hypernetwork":
        raise wrong_kind(path, detection, "a hypernetwork")
    parts: dict[tuple[int, int], dict[int, dict[str, Tensor]]] = {}
    for name in weights:
        match = _NAME.fullmatch(name)
        if match:
            branch = parts.setdefault((int(match["width"]), int(match["side"])), {})
            branch.setdefault(int(match["layer"]), {})[match["leaf"]] = _finite(weights[name], path, name)
    said = bytes(weights["activation_func"].tolist()).decode() if "activation_func" in weights else "linear"
    if said.lower() not in _ACTIVATIONS:
        raise HypernetworkError(
            "this hypernetwork has an activation that is not known",
            where=path.name,
            expected=", ".join(_ACTIVATIONS),
            got=said[:40],
        )
    active = "activate_output" in weights and bool(weights["activate_output"].any())
    activation = _ACTIVATIONS[said.lower()]

    def branch_of(width: int, side: int) -> Branch:
        layers = _layers(parts.get((width, side), {}), width, f"{path.name}, {width}.{side}")
        return Branch(layers, activation, active)

    return Hypernetwork({width: (branch_of(width, 0), branch_of(width, 1)) for width in sorted({w for w, _ in parts})})


def attention_widths(net: nn.Module) -> set[int]:
    """The widths of what a net's attention makes keys of."""
    return {weight.shape[1] for name, weight in net.named_parameters() if name.endswith(".to_k.weight")}


def _layers(found: Mapping[int, Mapping[str, Tensor]], width: int, where: str) -> tuple[Layer, ...]:
    """The layers in order, each of which takes what the one before gives, and the last `width`."""
    now, layers = width, []
    for number in sorted(found):
        weight, bias = found[number].get("weight"), found[number].get("bias")
        if (
            weight is None
            or weight.shape[-1] != now
            or weight.ndim > 2
            or (bias is not None and len(bias) != len(weight))
        ):
            shapes = {leaf: tuple(tensor.shape) for leaf, tensor in found[number].items()}
            raise HypernetworkError(
                "the layers do not follow each other",
                where=f"{where}, layer {number}",
                expected=f"input {now}",
                got=str(shapes),
            )
        now = len(weight)
        layers.append(Layer(weight, bias))
    if now != width or not layers:
        raise HypernetworkError(
            "this hypernetwork is incomplete", where=where, expected=f"output {width}", got=str(now)
        )
    return tuple(layers)


def _finite(tensor: Tensor, path: Path, name: str) -> Tensor:
    if not bool(torch.isfinite(tensor).all()):
        raise HypernetworkError(
            "there are numbers in this file that are none", where=f"{path.name}, {name}", got="NaN or infinity"
        )
    return tensor
