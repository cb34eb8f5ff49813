"""Filling nets: names in files are looked up, never followed."""

from __future__ import annotations

from itertools import product

import torch
from torch import nn

from engine.models.assembly import fill

ROOTS = (
    "",
    "weight.",
    "0.",
    "__class__.",
    "__dict__.",
    "_parameters.",
    "forward.",
    "..",
    "1._modules.",
    "a.b.",
    "0.0.",
)
LEAVES = (
    "__class__", "__init__.__globals__", "__dict__", "__getattr__", "__setattr__", "_modules", "_parameters",
    "_buffers", "forward", "forward.__code__", "__class__.__init__", "__class__.forward",
    "__module__", "training", "__doc__",
    "__reduce__", "__slots__", "__bases__", "__mro__", "state_dict",
)  # fmt: skip


def attributes(*kinds: type) -> dict[str, object]:
    return {f"{kind.__name__}.{name}": value for kind in kinds for name, value in vars(kind).items()}


def test_names_of_python_in_a_file_change_nothing() -> None:
    """Fields that file names reach have run code elsewhere (CVE-2025-6107)."""
    hostile = {root + leaf: torch.zeros(1) for root, leaf in product(ROOTS, LEAVES)}
    assert len(hostile) >= 200
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    before, own = attributes(nn.Module, nn.Sequential, nn.Linear), set(vars(net))
    shapes = {"weight": (2, 2), "bias": (2,)}
    weights = {f"{layer}.{name}": torch.ones(shape) for layer, (name, shape) in product("01", shapes.items())}
    fill(net, weights | hostile, None, "hostile.safetensors")
    assert attributes(nn.Module, nn.Sequential, nn.Linear) == before
    assert set(vars(net)) == own
    assert net(torch.ones(1, 2)).tolist() == [[7.0, 7.0]]
