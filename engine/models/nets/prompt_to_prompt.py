"""Prompt-to-prompt: a picture painted again from another prompt, with the attention of the first.

Samples come in pairs, a source and the one that is edited, in one call. Attention is linear in its values, so to look
where the source looks is to ask with the source's queries and keys for values that were mixed as its tokens turn into
those of the target; no map is ever written down. Source: Hertz et al. 2022, algorithm 1 and section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.foundation.bounds import within
from engine.foundation.errors import EaselError
from engine.models.nets.patches import Attend, Call, Patch, Site, attention
from engine.tensors.rows import Row

PAIR = 2


class PairError(EaselError):
    """A batch that does not hold a source before each sample that is edited."""

    code: ClassVar[str] = "bad_pairs"


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The rows of one call that are edited, and for every row the one whose attention it has: its own, or its source's.

    Both are numbers of rows.
    """

    edited: tuple[int, ...] = ()
    sources: tuple[int, ...] = ()

    @staticmethod
    def among(rows: Sequence[Row]) -> Pairs:
        """The pairs among rows that are to be painted; what is not to be is never edited. Raises `PairError`."""
        painted = [number for number, row in enumerate(rows) if not row.negative]
        for first, second in zip(painted[::PAIR], [*painted[1::PAIR], None], strict=False):
            if second is None or not _pair(rows[first], rows[second]):
                raise PairError(
                    "prompt-to-prompt paints pairs, a source and what becomes of it",
                    where="inputs model and latent_image",
                    expected="the latent that the prompt-to-prompt node gives",
                    got=f"a batch of {1 + max(row.sample for row in rows)}",
                )
        edited = tuple(painted[1::PAIR])
        return Pairs(edited, tuple(number - (number in edited) for number in range(len(rows))))

    def fed(self, t: Tensor) -> Tensor:
        """`t` `(B, ..., N, C)` with the source's row in place of each edited one; of a row cut in tiles, tile by tile.

        It is laid out in memory as heads are, tokens before them: attention rounds otherwise in another layout.
        """
        tiles = len(t) // max(1, len(self.sources))
        rows = [source * tiles + tile for source in self.sources for tile in range(tiles)]
        return t.transpose(1, -2)[torch.tensor(rows, device=t.device)].transpose(1, -2)


def _pair(source: Row, edited: Row) -> bool:
    return source.sample % PAIR == 0 and replace(source, sample=source.sample + 1) == edited


@dataclass(frozen=True, slots=True, eq=False)
class SharedAttention(Patch):
    """The edited sample of each pair looks where its source looks.

    Attention to the prompt is the source's as long as sigma is above `cross`: its maps times `shared` `(S, T)` are
    those to the target's tokens, and where `own` `(T,)` is 1 the target's own attention counts (see `text.alignment`).
    Attention among cells is the source's above sigma `among`, on maps of at most `cells`.
    """

    shared: Tensor
    own: Tensor
    cross: float
    among: float
    cells: int = 32 * 32  # as in the published code for real pictures
    pairs: Pairs = field(default_factory=Pairs)

    def begun(self, call: Call) -> Patch:
        """With the pairs among the rows of this call."""
        return replace(self, pairs=Pairs.among(call.rows))

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`."""
        if not self.pairs.edited:
            return attend(site, q, k, v)
        if site.kind == "self":
            if site.sigma <= self.among or q.shape[2] > self.cells:
                return attend(site, q, k, v)
            tokens = None if site.tokens is None else self.pairs.fed(site.tokens)
            return attend(replace(site, tokens=tokens), self.pairs.fed(q), self.pairs.fed(k), v)
        if site.sigma <= self.cross or k.shape[2] % len(self.own):
            return attend(site, q, k, v)
        rows = torch.tensor(self.pairs.edited, device=q.device)
        out = attend(site, self.pairs.fed(q), self.pairs.fed(k), self._mixed(v, rows))
        if self.own.any():
            kept = _repeated(self.own, k.shape[2])[:, None].to(v)
            # without patches: what they add to the attention is in there already
            own = attention(replace(site, patches=()), q[rows], k[rows], v[rows] * kept)
            out = out.index_add(0, rows, own)
        return out

    def _mixed(self, v: Tensor, rows: Tensor) -> Tensor:
        """The values with those of the edited `rows` at the places of the source's tokens."""
        count = len(self.own)
        if torch.equal(self.shared, torch.eye(count)):
            return v
        own = v[rows]
        parts = own.reshape(*own.shape[:2], -1, count, own.shape[3])  # tokens may repeat, see `guidance`
        mixed = torch.einsum("st,bhrtd->bhrsd", self.shared.to(v), parts).flatten(2, 3)
        return v.index_copy(0, rows, mixed)


@dataclass(frozen=True, slots=True, eq=False)
class Reweighted(Patch):
    """The attention of the edited sample of each pair to its prompt's tokens, times `factors` `(T,)`.

    As factors of what the values are made of, they hold whoever's attention it is. Source: Hertz et al. 2022,
    equation 5.
    """

    factors: Tensor
    pairs: Pairs = field(default_factory=Pairs)

    def begun(self, call: Call) -> Patch:
        """With the pairs among the rows of this call."""
        return replace(self, pairs=Pairs.among(call.rows))

    def sources(self, site: Site, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """What keys and values are made of."""
        if site.kind != "cross" or values.shape[1] % len(self.factors):
            return keys, values
        rows = torch.tensor(self.pairs.edited, dtype=torch.long, device=values.device)
        factors = _repeated(self.factors, values.shape[1])[:, None].to(values)
        return keys, values.index_copy(0, rows, values[rows] * factors)


class WordAttention(Patch):
    """Keeps how much the cells of each sample look at some tokens, for one evaluation.

    `tokens` `(2, T)` are 1 at the tokens that count, of sources and of what is edited. `maps` has for each sample
    the attention `(h, w)` to them in the net's cells, one of every layer: means over the heads.
    """

    __slots__ = ("_rows", "maps", "tokens")

    def __init__(self, tokens: Tensor, maps: dict[int, list[Tensor]] | None = None, rows: Sequence[Row] = ()) -> None:
        self.tokens = tokens
        self.maps: dict[int, list[Tensor]] = {} if maps is None else maps
        self._rows = tuple(rows)

    def begun(self, call: Call) -> Patch:
        """The same record, with the rows of this call."""
        return WordAttention(self.tokens, self.maps, call.rows)

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`, as it is."""
        count = self.tokens.shape[1]
        if site.kind == "cross" and site.cells is not None and k.shape[2] % count == 0 and len(q) == len(self._rows):
            for number, row in enumerate(self._rows):
                weights = torch.softmax(q[number].float() @ k[number].float().mT / math.sqrt(q.shape[-1]), dim=-1)
                chosen = _repeated(self.tokens[row.sample % PAIR], k.shape[2]).to(weights)
                looked = (weights @ chosen).mean(dim=0).reshape(1, 1, *site.cells)
                looked = F.interpolate(looked, size=site.canvas, mode="bilinear", align_corners=False)
                self.maps.setdefault(row.sample, []).append(looked[0, 0])
        return attend(site, q, k, v)


def checked_shares(cross: float, among: float) -> None:
    """Raise `BoundsError` unless both are shares of a sampling."""
    within("cross_share", cross, 0.0, 1.0)
    within("self_share", among, 0.0, 1.0)


def _repeated(row: Tensor, length: int) -> Tensor:
    """`row` `(T,)` repeated to `length`, as tokens are."""
    return row.repeat(length // len(row))
