"""Patches of a UNet: frozen values that take part in one call of its forward and leave the module as it is.

A patch overrides the hooks it needs. Hooks on feature maps run in the order of the patches; around attention the first
patch is the outermost, so what it hands on is what the next one sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Where in a call of the net a hook is asked.

    `canvas` is the height and width of the net's input, `width` the channels of its finest level. `block` counts the
    blocks of a `part`. Inside a transformer, `layer` counts its layers, `cells` is the height and width of its feature
    map (None where tokens are no longer a map), and `tokens` `(B, N, C)` is what attention is computed on.
    """

    patches: tuple[Patch, ...]
    sigma: float
    canvas: tuple[int, int]
    width: int
    part: Literal["input", "middle", "output"] = "input"
    block: int = 0
    layer: int = 0
    kind: Literal["self", "cross"] = "self"
    cells: tuple[int, int] | None = None
    tokens: Tensor | None = None

    @property
    def level(self) -> int:
        """How often the feature map was halved."""
        if self.cells is None:
            return 0
        return round(self.canvas[0] / self.cells[0]).bit_length() - 1


Attend: TypeAlias = Callable[[Site, Tensor, Tensor, Tensor], Tensor]
"""Attention of queries, keys and values `(B, heads, N, C / heads)`, as the next patch or the net computes it."""


class Patch:
    """A change to one call of a UNet; every hook leaves things as they are unless it is overridden."""

    __slots__ = ()

    def skipped(self, site: Site, x: Tensor) -> Tensor:  # noqa: ARG002
        """The feature map after an input block, before it is kept for the way up."""
        return x

    def passed(self, site: Site, x: Tensor) -> Tensor:  # noqa: ARG002
        """The feature map after an input block, as it goes on down."""
        return x

    def joined(self, site: Site, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """The feature map and the one kept on the way down, before an output block takes both."""
        return x, skip

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`; `attend` computes it without this patch."""
        return attend(site, q, k, v)


def skipped(site: Site | None, x: Tensor) -> Tensor:
    """Every patch's hook of this name in turn; without a site, nothing. The same holds for the next two."""
    for patch in site.patches if site else ():
        x = patch.skipped(site, x)  # type: ignore[arg-type]
    return x


def passed(site: Site | None, x: Tensor) -> Tensor:
    """See `skipped`."""
    for patch in site.patches if site else ():
        x = patch.passed(site, x)  # type: ignore[arg-type]
    return x


def joined(site: Site | None, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
    """See `skipped`."""
    for patch in site.patches if site else ():
        x, skip = patch.joined(site, x, skip)  # type: ignore[arg-type]
    return x, skip


def attention(site: Site, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention through every patch of `site`, the first one outermost."""
    if not site.patches:
        return F.scaled_dot_product_attention(q, k, v)
    first, rest = site.patches[0], site.patches[1:]

    def attend(inner: Site, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention(replace(inner, patches=rest), q, k, v)

    return first.attention(site, q, k, v, attend)
