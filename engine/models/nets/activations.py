"""How much memory a net's forward takes besides its weights, estimated from its shape alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engine.models.nets.dit import DiT, DiTConfig
from engine.models.nets.pixart import PixArt, PixArtConfig
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.nets.uvit import UViT, UViTConfig

# What is alive at once on a level, in feature maps of its channels, with flash attention: a GEGLU feed-forward holds
# its projection (8), its gate and its product (4 each) and what it is to be added to; attention holds less besides the
# keys and values of the tokens, and so does a residual block. By counting live tensors, as the test does again.
FEED_FORWARD_MAPS = 21
ATTENTION_MAPS = 9
RESIDUAL_MAPS = 7


def row_bytes(net: UNet | DiT | PixArt | UViT, inputs: Sequence[Tensor]) -> int:
    """Bytes of one row of `inputs` on its way through `net`: latents, timesteps, tokens and what else it takes."""
    x, _, tokens, *_ = inputs
    config, sizes = net.config, (x.shape[-2], x.shape[-1], tokens.shape[1])
    if isinstance(config, UNetConfig):
        return activations(config, *sizes) * x.itemsize
    return transformer_activations(config, *sizes) * x.itemsize


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


def transformer_activations(config: DiTConfig | PixArtConfig | UViTConfig, height: int, width: int, words: int) -> int:
    """The same for a transformer: tokens before a block and in it, their norm, and its hidden layer twice.

    A U-ViT keeps what comes out of each block of its first half; PixArt has its words, and their keys and values.
    """
    tokens = -(-height // config.patch) * -(-width // config.patch)
    kept = 0
    if isinstance(config, UViTConfig):
        tokens += config.extras
        kept = config.depth * config.width if config.skips else 0
    beside = 3 * words * config.width if isinstance(config, PixArtConfig) else 0
    return tokens * (3 * config.width + 2 * config.hidden + kept) + beside
