"""From the parts that a file has for a module to the changes of its weight and its bias, with their shapes checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from engine.models.adapters.changes import (
    Butterfly,
    Change,
    Difference,
    Generalised,
    Hadamard,
    Kronecker,
    LowRank,
    Renormalised,
    Rotated,
    Scaled,
    Toward,
)
from engine.models.adapters.reading import AdapterError, Parts

Shape: TypeAlias = tuple[int, ...]
Leaf: TypeAlias = str
"""`weight` or `bias`."""


def changes_of(parts: Parts, shapes: Mapping[Leaf, Shape], where: str) -> list[tuple[Leaf, Change]]:
    """The changes that `parts` make to a module whose weight and bias have `shapes`. Raises `AdapterError`."""
    found: list[tuple[Leaf, Change]] = []
    for marker, leaf, build in _KINDS:
        if marker not in parts:
            continue
        if leaf not in shapes:
            raise _misfit(parts, where, f"a module with a {leaf}")
        try:
            change = build(parts, shapes[leaf])
            _try(change, shapes[leaf])
        except KeyError as error:
            raise AdapterError(
                "an adapter is incomplete",
                where=where,
                expected=f"the tensor {error.args[0]}",
                got=f"only {', '.join(parts)}",
            ) from error
        except (RuntimeError, IndexError, ValueError) as error:
            raise _misfit(parts, where, f"a change of a {leaf} {shapes[leaf]}") from error
        found.append((leaf, change))
    if not found:
        raise AdapterError("an adapter is incomplete", where=where, got=f"only {', '.join(parts)}")
    return found


def _misfit(parts: Parts, where: str, expected: str) -> AdapterError:
    shown = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in parts.items() if name != "alpha")
    return AdapterError("this adapter does not fit the model", where=where, expected=expected, got=shown)


def _try(change: Change, shape: Shape) -> None:
    """Apply the change to a weight without numbers. Raises `RuntimeError` if it does not fit."""
    result = change.applied(torch.empty(shape, device="meta"), 1.0)
    if tuple(result.shape) != shape:
        raise RuntimeError(f"the result is {tuple(result.shape)}")


def _low_rank(parts: Parts, shape: Shape) -> Change:
    up, down, mid = parts["up"].flatten(1), parts["down"].flatten(1), parts.get("mid")
    _same_rank(up.shape[1], len(down) if mid is None else len(mid))
    scale = _scale(parts, len(down))
    return _renormalised(LowRank(up, down, mid, scale), parts, shape)


def _hadamard(parts: Parts, shape: Shape) -> Change:
    first, second = (
        (parts[f"hada_w{number}_a"], parts[f"hada_w{number}_b"], parts.get(f"hada_t{number}")) for number in (1, 2)
    )
    return _renormalised(Hadamard(first, second, _scale(parts, len(first[1]))), parts, shape)


def _kronecker(parts: Parts, shape: Shape) -> Change:
    ranks = [len(parts[name]) for name in ("lokr_w2_b", "lokr_w1_b") if name in parts]
    scale = _scale(parts, ranks[0]) if ranks else 1.0  # two whole matrices are no low rank, alpha says nothing there
    first, second = _factor(parts, "lokr_w1", None), _factor(parts, "lokr_w2", parts.get("lokr_t2"))
    return _renormalised(Kronecker(first, second, scale), parts, shape)


def _factor(parts: Parts, name: str, core: Tensor | None) -> Tensor | tuple[Tensor, Tensor, Tensor | None]:
    return parts[name] if name in parts else (parts[f"{name}_a"], parts[f"{name}_b"], core)


def _generalised(parts: Parts, shape: Shape) -> Change:
    a1, a2, b1, b2 = (parts[name].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    if len(b1) != shape[0] and len(b2) == shape[0]:  # the first files had each pair the other way round
        a1, a2, b1, b2 = a2, a1, b2, b1
    return Generalised((a1, a2), (b1, b2), _scale(parts, len(a2)))


def _scaled(parts: Parts, _shape: Shape) -> Change:
    return Scaled(parts["weight"].flatten(), bool(parts["on_input"].flatten()[0]))


def _rotated(parts: Parts, shape: Shape) -> Change:
    blocks, rescale = parts["oft_blocks"], parts.get("rescale")
    limit = float(parts["alpha"]) * shape[0] if "alpha" in parts else 0.0
    return (Butterfly if blocks.ndim == 4 else Rotated)(blocks, rescale, limit)


def _renormalised(change: Change, parts: Parts, shape: Shape) -> Change:
    """With the lengths of DoRA: PEFT has one for each output, LyCORIS says by the shape which axis they are for."""
    if "magnitude" in parts:
        return Renormalised(change, parts["magnitude"].flatten(), on_input=False)
    if "dora_scale" in parts:
        lengths = parts["dora_scale"]
        on_input = lengths.ndim > 1 and lengths.shape[0] != shape[0]
        return Renormalised(change, lengths.flatten(), on_input)
    return change


def _differing(name: str) -> Build:
    def build(parts: Parts, shape: Shape) -> Change:
        return Difference(parts[name].reshape(shape))

    return build


def _toward(name: str) -> Build:
    def build(parts: Parts, shape: Shape) -> Change:
        return Toward(parts[name].reshape(shape))

    return build


def _same_rank(left: int, right: int) -> None:
    if left != right:
        raise ValueError(f"ranks {left} and {right}")


def _scale(parts: Parts, rank: int) -> float:
    """Alpha over rank; 1 where a file says no alpha."""
    return float(parts["alpha"]) / rank if "alpha" in parts else 1.0


def tensors_of(value: object) -> Iterator[Tensor]:
    """The tensors in a change."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from tensors_of(item)
    elif isinstance(value, Change):
        for name in getattr(value, "__dataclass_fields__", ()):
            yield from tensors_of(getattr(value, name))


Build: TypeAlias = Callable[[Parts, Shape], Change]
_KINDS: tuple[tuple[str, Leaf, Build], ...] = (
    ("up", "weight", _low_rank),
    ("hada_w1_a", "weight", _hadamard),
    ("lokr_w1", "weight", _kronecker),
    ("lokr_w1_a", "weight", _kronecker),
    ("a1", "weight", _generalised),
    ("on_input", "weight", _scaled),
    ("oft_blocks", "weight", _rotated),
    ("diff", "weight", _differing("diff")),
    ("w_norm", "weight", _differing("w_norm")),
    ("diff_b", "bias", _differing("diff_b")),
    ("b_norm", "bias", _differing("b_norm")),
    ("target", "weight", _toward("target")),
    ("target_b", "bias", _toward("target_b")),
)
