"""What an adapter does to one weight, a frozen value for each format.

A change of strength s makes `W + s * delta(W)` of a weight W. Weights are `(out, in)` or `(out, in, kh, kw)`; all is
computed in the type and on the device of the W that is given, whatever type the file has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

_TINY = 1e-30  # keeps a row of zeros at zero instead of at NaN


class Change:
    """A change of one weight."""

    __slots__ = ()

    def delta(self, weight: Tensor) -> Tensor:
        """What is added to `weight` at strength 1, in its shape."""
        raise NotImplementedError

    def applied(self, weight: Tensor, strength: float) -> Tensor:
        """The changed weight, a new tensor."""
        return weight + strength * self.delta(weight)

    def of_rows(self, rows: slice) -> Change | None:  # noqa: ARG002
        """The same change of some outputs of the weight alone; None if what it does to them takes the others too."""
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Difference(Change):
    """A full difference, in the weight's shape."""

    tensor: Tensor

    def delta(self, weight: Tensor) -> Tensor:
        return self.tensor.to(weight)

    def of_rows(self, rows: slice) -> Change:
        return Difference(self.tensor[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Toward(Change):
    """The way to another model's weight: strength 1 arrives there."""

    target: Tensor

    def delta(self, weight: Tensor) -> Tensor:
        return self.target.to(weight) - weight

    def of_rows(self, rows: slice) -> Change:
        return Toward(self.target[rows])


@dataclass(frozen=True, slots=True, eq=False)
class LowRank(Change):
    """`scale * up @ down` (Hu et al. 2021, section 4.1), with `mid` between for convolutions in Tucker's form.

    `up` `(out, r)` and `down` `(r, in * kh * kw)`; with `mid` `(r, r, kh, kw)`, `down` is `(r, in)` (LyCORIS, Yeh et
    al. 2023, LoCon).
    """

    up: Tensor
    down: Tensor
    mid: Tensor | None
    scale: float

    def delta(self, weight: Tensor) -> Tensor:
        up, down = self.up.to(weight), self.down.to(weight)
        if self.mid is None:
            return (up @ down).reshape(weight.shape) * self.scale
        return torch.einsum("oa,ab...,bi->oi...", up, self.mid.to(weight), down) * self.scale

    def applied(self, weight: Tensor, strength: float) -> Tensor:
        if self.mid is not None:
            return weight + strength * self.delta(weight)
        up, down = self.up.to(weight), self.down.to(weight)
        # one pass over the weight, where a delta of its own would take four
        return torch.addmm(weight.flatten(1), up, down, alpha=strength * self.scale).reshape(weight.shape)

    def of_rows(self, rows: slice) -> Change:
        return LowRank(self.up[rows], self.down, self.mid, self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class Hadamard(Change):
    """The product in each place of two low-rank matrices (Hyeon-Woo et al. 2022, FedPara; LyCORIS, LoHa).

    Each factor is `(a, b, core)`: `a @ b` with `a` `(out, r)` and `b` `(r, in * kh * kw)`; or with a core
    `(r, r, kh, kw)`, `a` is `(r, out)` and `b` `(r, in)`.
    """

    first: tuple[Tensor, Tensor, Tensor | None]
    second: tuple[Tensor, Tensor, Tensor | None]
    scale: float

    def delta(self, weight: Tensor) -> Tensor:
        first, second = (_rebuilt(*factor, weight).reshape(weight.shape) for factor in (self.first, self.second))
        return first * second * self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Kronecker(Change):
    """The Kronecker product of two matrices (LyCORIS, LoKr), each whole or `(a, b, core)` as in `Hadamard`.

    The first spans no kernel; a low-rank `b` of the second is `(r, in, kh, kw)` or `(r, in)`.
    """

    first: Tensor | tuple[Tensor, Tensor, Tensor | None]
    second: Tensor | tuple[Tensor, Tensor, Tensor | None]
    scale: float

    def delta(self, weight: Tensor) -> Tensor:
        first, second = (
            part.to(weight) if isinstance(part, Tensor) else _rebuilt(*part, weight)
            for part in (self.first, self.second)
        )
        first = first.reshape(*first.shape[:2], *[1] * (second.ndim - 2))
        return torch.kron(first, second.contiguous()).reshape(weight.shape) * self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Generalised(Change):
    """`scale * (W A + B)` with A and B of low rank (Chavan et al. 2023, GLoRA).

    `a` is `(in, r)` and `(r, in)`, `b` is `(out, r)` and `(r, in * kh * kw)`.
    """

    a: tuple[Tensor, Tensor]
    b: tuple[Tensor, Tensor]
    scale: float

    def delta(self, weight: Tensor) -> Tensor:
        a1, a2, b1, b2 = (part.to(weight) for part in (*self.a, *self.b))
        own = torch.einsum("oi...,ij->oj...", weight, a1 @ a2)
        return (own + (b1 @ b2).reshape(weight.shape)) * self.scale


@dataclass(frozen=True, slots=True)
class Itself(Change):
    """The weight once more: strength s makes it 1 + s times as large."""

    def delta(self, weight: Tensor) -> Tensor:
        return weight

    def of_rows(self, rows: slice) -> Change:  # noqa: ARG002 - every row alike
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Scaled(Change):
    """`W * factor`, a number for each output, or each input, of W (Liu et al. 2022, IA3)."""

    factor: Tensor
    on_input: bool

    def delta(self, weight: Tensor) -> Tensor:
        rest = [1] * (weight.ndim - 2)
        shape = (1, -1, *rest) if self.on_input else (-1, 1, *rest)
        return weight * self.factor.to(weight).reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Rotated(Change):
    """Blocks of outputs turned by orthogonal matrices (Qiu et al. 2023, OFT), then times `rescale` `(out,)`.

    `blocks` `(n, b, b)` with `n * b` outputs; what they are antisymmetric in is the Cayley transform's argument, whose
    norm is cut at `limit` (0: it is not), LyCORIS' constraint times the number of outputs.
    """

    blocks: Tensor
    rescale: Tensor | None
    limit: float

    def delta(self, weight: Tensor) -> Tensor:
        turns = rotations(self.blocks.to(weight), self.limit)
        cut = weight.reshape(*turns.shape[:2], -1)
        turned = torch.einsum("knm,knx->kmx", turns, cut).reshape(weight.shape)
        return _rescaled(turned, self.rescale) - weight


@dataclass(frozen=True, slots=True, eq=False)
class Butterfly(Change):
    """Several rotations of blocks, each over outputs twice as far apart as the one before (Liu et al. 2023, BOFT).

    `blocks` `(m, n, b, b)`. The strength leads every rotation from the identity, so it is no factor of the result.
    """

    blocks: Tensor
    rescale: Tensor | None
    limit: float

    def delta(self, weight: Tensor) -> Tensor:
        return self.applied(weight, 1.0) - weight

    def applied(self, weight: Tensor, strength: float) -> Tensor:
        turns = rotations(self.blocks.to(weight), self.limit)
        turns = turns * strength + torch.eye(turns.shape[-1]).to(weight) * (1 - strength)
        size = turns.shape[-1]
        x = weight.flatten(1)
        for stage, turn in enumerate(turns):
            apart = 2**stage * (size // 2)
            width = x.shape[1]
            x = x.reshape(-1, 2, apart, width).transpose(1, 2).reshape(-1, size, width)
            x = torch.einsum("bij,bjx->bix", turn, x)
            x = x.reshape(-1, apart, 2, width).transpose(1, 2).reshape(-1, width)
        if self.rescale is None:
            return x.reshape(weight.shape)
        turned = x.reshape(weight.shape)
        return turned + strength * (_rescaled(turned, self.rescale) - turned)


@dataclass(frozen=True, slots=True, eq=False)
class Renormalised(Change):
    """Another change, after which each output (or input) of W has a length of its own (Liu et al. 2024, DoRA).

    `magnitude` are the lengths, a number for each output, or for each input if `on_input`.
    """

    inner: Change
    magnitude: Tensor
    on_input: bool

    def delta(self, weight: Tensor) -> Tensor:
        changed = weight + self.inner.delta(weight)
        axis = 1 if self.on_input else 0
        others = [other for other in range(weight.ndim) if other != axis]
        norm = changed.square().sum(dim=others, keepdim=True).sqrt().clamp(min=_TINY)
        return changed * (self.magnitude.to(weight).reshape(norm.shape) / norm) - weight


def placed(change: T, upload: Callable[[Tensor], Tensor]) -> T:
    """The same change with its tensors where `upload` puts them."""
    return _placed(change, upload)  # type: ignore[no-any-return]  # what it was


def _placed(value: Any, upload: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return upload(value)
    if isinstance(value, tuple):
        return tuple(_placed(item, upload) for item in value)
    if isinstance(value, Change):
        own = {item.name: getattr(value, item.name) for item in fields(value)}  # type: ignore[arg-type]
        return replace(value, **{name: _placed(item, upload) for name, item in own.items()})  # type: ignore[type-var]
    return value


def rotations(blocks: Tensor, limit: float) -> Tensor:
    """Orthogonal matrices `(..., b, b)` by Cayley's transform of the antisymmetric part of `blocks`."""
    q = blocks - blocks.transpose(-1, -2)
    if limit > 0:
        q = q * (limit / (q.norm() + 1e-8)).clamp(max=1.0)
    one = torch.eye(blocks.shape[-1], device=blocks.device, dtype=blocks.dtype)
    inverse: Tensor = torch.linalg.inv(one - q)
    return (one + q) @ inverse


def _rescaled(weight: Tensor, factor: Tensor | None) -> Tensor:
    return weight if factor is None else weight * factor.to(weight).reshape(-1, *[1] * (weight.ndim - 1))


def _rebuilt(a: Tensor, b: Tensor, core: Tensor | None, like: Tensor) -> Tensor:
    """A factor from its parts."""
    a, b = a.to(like), b.to(like)
    if core is None:
        return (a @ b.flatten(1)).reshape(len(a), *b.shape[1:])
    return torch.einsum("ij...,ip,jr->pr...", core.to(like), a, b)
