"""Nets without weights, and filling them: names in files are looked up, never followed."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from engine.models.assembly import fill, unfilled

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


class Calls(TorchDispatchMode):
    """Remembers what is computed within."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def test_an_unfilled_net_has_no_memory_and_no_initial_values() -> None:
    with Calls() as calls, unfilled():
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.Embedding(6, 7), nn.GroupNorm(1, 8))
    assert all(weight.is_meta for weight in net.parameters())
    assert not [name for name in calls.names if "uniform" in name or "normal" in name]


def test_a_filled_net_computes_as_one_with_those_weights() -> None:
    known = nn.Linear(3, 2)
    with unfilled():
        net = nn.Linear(3, 2)
    x: Tensor = torch.randn(4, 3)
    assert torch.equal(fill(net, known.state_dict(), None, "here")(x), known(x))
