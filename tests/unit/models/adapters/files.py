"""Adapter files for tiny nets, and what they make of weights, merged without the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.adapters.reading import AdapterFile, read_adapter

RANK, ALPHA = 4, 6.0


def diffusers_modules(net: Any, *ends: str) -> dict[str, Tensor]:
    """Weights of the modules of a reference net whose names end so, by the module's name."""
    state = {name.removesuffix(".weight"): tensor for name, tensor in net.state_dict().items()}
    return {name: tensor for name, tensor in state.items() if name.endswith(ends or ("",)) and tensor.ndim > 1}


def pairs(modules: Mapping[str, Tensor], seed: int = 1) -> dict[str, tuple[Tensor, Tensor]]:
    """A random down and up for each module."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, weight in modules.items():
        rest = [1] * (weight.ndim - 2)
        down = torch.randn(RANK, *weight.shape[1:], generator=generator) * 0.1
        made[name] = (down, torch.randn(len(weight), RANK, *rest, generator=generator) * 0.1)
    return made


def delta(down: Tensor, up: Tensor, scale: float = ALPHA / RANK) -> Tensor:
    """What a pair adds to its weight, in double precision."""
    product = up.double().flatten(1) @ down.double().flatten(1)
    return (product * scale).reshape(len(up), *down.shape[1:])


def kohya(made: Mapping[str, tuple[Tensor, Tensor]], prefix: str) -> dict[str, Tensor]:
    """The tensors as kohya's trainer names them."""
    tensors = {}
    for name, (down, up) in made.items():
        stem = prefix + name.replace(".", "_")
        tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        tensors[f"{stem}.alpha"] = torch.tensor(ALPHA)
    return tensors


def saved(folder: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> AdapterFile:
    """`tensors` as the engine reads them from a file."""
    path = folder / "adapter.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return read_adapter(path)
