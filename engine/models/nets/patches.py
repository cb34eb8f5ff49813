"""Patches of a net: frozen values that take part in one call of its forward and leave the module as it is.

A patch overrides the hooks it needs. Hooks on feature maps run in the order of the patches; around attention the first
patch is the outermost, so what it hands on is what the next one sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

from engine.tensors.rows import Rows

Part: TypeAlias = Literal["input", "middle", "output", "stack"]
"""The ways down and up of a net and what is between them; transformers whose blocks are all alike are one stack."""


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Where in a call of the net a hook is asked.

    `canvas` is the height and width of the net's input, `width` the channels of its finest level. `block` counts the
    blocks of a `part`. Inside a transformer, `layer` counts its layers, `level` says how often its feature map was
    halved, `cells` is the height and width of what attention is computed on (a tile of the map for patches within
    tiles; None where tokens are no longer a map), and `tokens` `(B, N, C)` are the tokens there. `bias`
    `(M,)` is added to the scores of the keys of cross-attention.
    """

    patches: tuple[Patch, ...]
    sigma: float
    canvas: tuple[int, int]
    width: int
    part: Part = "input"
    block: int = 0
    layer: int = 0
    level: int = 0
    kind: Literal["self", "cross"] = "self"
    cells: tuple[int, int] | None = None
    tokens: Tensor | None = None
    bias: Tensor | None = None

    def inside(self, layer: int, cells: tuple[int, int]) -> Site:
        """The site of a layer of a transformer over a feature map of `cells`."""
        level = round(self.canvas[0] / cells[0]).bit_length() - 1
        return replace(self, layer=layer, cells=cells, level=max(0, level))


Attend: TypeAlias = Callable[[Site, Tensor, Tensor, Tensor], Tensor]
"""Attention of queries, keys and values `(B, heads, N, C / heads)`, as the next patch or the net computes it."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a net, before anything is computed: the net and what it is given, and what each row is about.

    `x` `(B, C, h, w)` scaled as the net sees it, `timesteps` `(B,)`, `context` `(B, T, D)`, `y` where the net takes it.
    """

    net: nn.Module
    x: Tensor
    timesteps: Tensor
    context: Tensor
    y: Tensor | None
    sigma: float
    rows: Rows

    @classmethod
    def of(
        cls,
        net: nn.Module,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        sigma: float,
        rows: Rows | None,
    ) -> Call:
        """A call whose rows are samples on the whole canvas where `rows` is None."""
        return cls(net, x, timesteps, context, y, sigma, rows or Rows.whole(len(x), (x.shape[-2], x.shape[-1])))


def started(patches: tuple[Patch, ...], call: Call, width: int) -> Site | None:
    """Where patches are asked first in a call of a net of `width`, with what they are for it; None without patches."""
    if not patches:
        return None
    canvas = (call.x.shape[-2], call.x.shape[-1])
    return Site(tuple(patch.begun(call) for patch in patches), call.sigma, canvas, width)


class Patch:
    """A change to one call of a net; every hook leaves things as they are unless it is overridden."""

    __slots__ = ()

    def begun(self, call: Call) -> Patch:  # noqa: ARG002
        """The patch for one call, in which it may keep what it computes from what the net is given."""
        return self

    def least(self, call: Call) -> int:  # noqa: ARG002
        """The least bytes that a net takes which the patch asks during a call; 0 where memory is not planned."""
        return 0

    def row_numbers(self, net: nn.Module, x: Tensor) -> int:  # noqa: ARG002
        """How many numbers the patch keeps for one row of a call on `x` `(B, C, h, w)`, beyond what the net keeps."""
        return 0

    def after_self_attention(self, site: Site, x: Tensor) -> Tensor:  # noqa: ARG002
        """The tokens `(B, N, C)` between the self-attention and the cross-attention of a transformer block."""
        return x

    def skipped(self, site: Site, x: Tensor) -> Tensor:  # noqa: ARG002
        """The feature map after an input block, before it is kept for the way up."""
        return x

    def passed(self, site: Site, x: Tensor) -> Tensor:  # noqa: ARG002
        """The feature map after an input block, as it goes on down."""
        return x

    def joined(self, site: Site, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """The feature map and the one kept on the way down, before an output block takes both."""
        return x, skip

    def through(self, site: Site, x: Tensor, block: Callable[[Tensor], Tensor]) -> Tensor:  # noqa: ARG002
        """The tokens `(B, N, C)` after a block of a transformer net; `block` computes them without this patch."""
        return block(x)

    def sources(self, site: Site, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """What keys and values are made of: tokens `(B, N, D)`, the same for both before any patch."""
        return keys, values

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`; `attend` computes it without this patch."""
        return attend(site, q, k, v)


def skipped(site: Site | None, x: Tensor) -> Tensor:
    """Every patch's hook of this name in turn; without a site, nothing. The same holds for the next two."""
    if site is not None:
        for patch in site.patches:
            x = patch.skipped(site, x)
    return x


def passed(site: Site | None, x: Tensor) -> Tensor:
    """See `skipped`."""
    if site is not None:
        for patch in site.patches:
            x = patch.passed(site, x)
    return x


def after_self_attention(site: Site | None, x: Tensor) -> Tensor:
    """See `skipped`."""
    if site is not None:
        for patch in site.patches:
            x = patch.after_self_attention(site, x)
    return x


def joined(site: Site | None, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
    """See `skipped`."""
    if site is not None:
        for patch in site.patches:
            x, skip = patch.joined(site, x, skip)
    return x, skip


def through(site: Site | None, x: Tensor, block: Callable[[Tensor], Tensor]) -> Tensor:
    """A block of a transformer net, through every patch's hook of this name, the first one outermost."""
    if site is not None:
        for patch in reversed(site.patches):
            block = partial(patch.through, site, block=block)
    return block(x)


def sources(site: Site | None, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """What keys and values are made of, after every patch's hook of this name in turn."""
    keys = values = tokens
    if site is not None:
        for patch in site.patches:
            keys, values = patch.sources(site, keys, values)
    return keys, values


def attention(site: Site, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention through every patch of `site`, the first one outermost."""
    if not site.patches:
        bias = None if site.bias is None else site.bias.to(q)[None]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    first, rest = site.patches[0], site.patches[1:]

    def attend(inner: Site, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention(replace(inner, patches=rest), q, k, v)

    return first.attention(site, q, k, v, attend)
