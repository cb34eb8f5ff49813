"""What every net that denoises has in common, whatever it is built of: UNets of latents and of pixels, transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Protocol

from torch import Tensor, nn


class NetConfig(Protocol):
    """What the configuration of a denoising net answers."""

    @property
    def in_channels(self) -> int:
        """Channels of what enters: noisy pictures, and whatever else stands behind them."""
        ...

    @property
    def out_channels(self) -> int:
        """Channels of what the net answers with: the picture's, and as many again where it learned a variance."""
        ...

    @property
    def context_channels(self) -> int:
        """Width of the tokens that the net takes; 0 for a net that leaves tokens alone."""
        ...

    def activations(self, height: int, width: int, tokens: int) -> int:
        """Numbers that are alive at the most for one row of a forward on `height` x `width` cells and `tokens` tokens.

        Patches that keep attention maps come on top.
        """
        ...


class DenoisingNet(nn.Module):
    """A net that a denoiser drives: `forward(x, timesteps, tokens, [vector], *, ...)`, see `UNet.forward`.

    `x` `(B, C, h, w)` is `in_channels` wide and `timesteps` `(B,)` are what the noise levels tell; `tokens` `(B, T, D)`
    are there always. A `vector` `(B, V)`, or integers `(B,)`, is given where the prompts have one. The options
    `patches`, `sigma` and `rows` come together, and only where there are patches. The answer `(B, C_out, h, w)` may
    have channels for a learned variance behind those of the prediction. A net that `takes_videos` has whole videos for
    rows: everything, and its answer, has a second dimension for their frames.
    """

    config: NetConfig

    counts_tokens: ClassVar[bool] = False
    """Whether it matters how often a token stands there: tokens may then not be repeated to make prompts as long as
    others. Plain cross-attention does not mind."""

    takes_videos: ClassVar[bool] = False


def row_bytes(net: DenoisingNet, inputs: Sequence[Tensor]) -> int:
    """Bytes of one row of `inputs` on its way through `net`: pictures, timesteps, tokens and what else it takes."""
    x, _, tokens, *_ = inputs
    return pictures_a_row(x) * net.config.activations(x.shape[-2], x.shape[-1], tokens.shape[-2]) * x.itemsize


def pictures_a_row(x: Tensor) -> int:
    """How many pictures a row of what enters a net has: 1 of `(B, C, h, w)`, the frames of `(V, F, C, h, w)`."""
    return math.prod(x.shape[1:-3])
