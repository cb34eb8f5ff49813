"""How much memory a UNet's forward takes besides its weights, estimated from its shape alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engine.models.nets.unet import UNet, UNetConfig

# What is alive at once on a level, in feature maps of its channels, with flash attention: a GEGLU feed-forward holds
# its projection (8), its gate and its product (4 each) and what it is to be added to; attention holds less besides the
# keys and values of the tokens, and so does a residual block. By counting live tensors, as the test does again.
FEED_FORWARD_MAPS = 21
ATTENTION_MAPS = 9
RESIDUAL_MAPS = 7


def row_bytes(net: UNet, inputs: Sequence[Tensor]) -> int:
    """Bytes of one row of `inputs` on its way through `net`: latents, timesteps, tokens and what else it takes."""
    x, _, tokens, *_ = inputs
    return activations(net.config, x.shape[-2], x.shape[-1], tokens.shape[1]) * x.itemsize


def activations(config: UNetConfig, height: int, width: int, tokens: int) -> int:
    """Numbers that are alive at the most for one row of a forward on `height` x `width` cells and `tokens` tokens.

    Right within a tenth for nets with attention, and above for those without. Patches that keep attention maps come on
    top.
    """
    kept, working = config.model_channels * height * width, 0
    for level, (mult, depth) in enumerate(zip(config.channel_mult, config.transformer_depth, strict=True)):
        channels, cells = mult * config.model_channels, height * width
        kept += config.num_res_blocks * channels * cells
        working = max(working, RESIDUAL_MAPS * channels * cells)
        if depth or (level == len(config.channel_mult) - 1 and config.middle_depth):
            working = max(working, FEED_FORWARD_MAPS * channels * cells)
            working = max(working, (ATTENTION_MAPS * cells + 2 * tokens) * channels)
        height, width = -(-height // 2), -(-width // 2)
        if level < len(config.channel_mult) - 1:
            kept += channels * height * width
    return kept + working
