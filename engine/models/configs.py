"""Net configurations from the shapes in a file, so that any width and depth of a family loads through the same code."""

from __future__ import annotations

from engine.models.detect import TIME_LAYERS, UNET, VAE, ArchitectureError, Shapes
from engine.models.nets.autoencoder import AutoencoderConfig
from engine.models.nets.unet import UNetConfig

SD1_HEADS = 8
SD2_HEAD_CHANNELS = 64


def unet_config(shapes: Shapes, prefix: str = UNET, *, where: str = "") -> UNetConfig:
    """The shape of a UNet of the Stable Diffusion family.

    How many heads there are cannot be seen in shapes: nets that project by 1x1 convolutions (SD1) have 8 everywhere,
    nets that project by linear layers (SD2, SDXL) have heads of 64 channels, but those with a table of noise levels
    (the x4 upscaler) 8 again. Raises `ArchitectureError` naming the tensor that is missing.
    """
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    width, in_channels = shape(own, "input_blocks.0.0.weight", where)[:2]
    levels = _levels(own, where)
    blocks = {len(level) for level in levels}
    if len(blocks) != 1 or 0 in blocks:
        counts = ", ".join(str(len(level)) for level in levels)
        raise ArchitectureError("the UNet's levels are uneven", where=where, got=f"{counts} residual blocks")
    linear = any(len(shape) == 2 for name, shape in own.items() if name.endswith("1.proj_in.weight"))
    contexts = [shape[1] for name, shape in own.items() if name.endswith("attn2.to_k.weight")]
    vector, table = own.get("label_emb.0.0.weight"), own.get("label_emb.weight")
    guidance = own.get("time_cond_proj.weight")
    by_width = linear and table is None
    cross_only = tuple(_cross_only(own, level[0]) for level in levels)
    return UNetConfig(
        in_channels=in_channels,
        out_channels=shape(own, "out.2.weight", where)[0],
        model_channels=width,
        channel_mult=tuple(shape(own, f"{level[0]}.0.in_layers.2.weight", where)[0] // width for level in levels),
        num_res_blocks=len(levels[0]),
        transformer_depth=tuple(_depth(own, level[0]) for level in levels),
        middle_depth=_depth(own, "middle_block"),
        context_channels=contexts[0] if contexts else 0,
        num_heads=None if by_width else SD1_HEADS,
        head_channels=SD2_HEAD_CHANNELS if by_width else None,
        linear_projection=linear,
        vector_channels=vector[1] if vector else None,
        classes=table[0] if table else None,
        guidance_channels=guidance[1] if guidance else None,
        cross_only=cross_only if any(cross_only) else (),
        video=any(TIME_LAYERS in name for name in own),
    )


def autoencoder_config(shapes: Shapes, prefix: str = VAE, *, where: str = "") -> AutoencoderConfig:
    """The shape of a KL autoencoder. Raises `ArchitectureError` naming the tensor that is missing."""
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    channels, in_channels = shape(own, "encoder.conv_in.weight", where)[:2]
    levels = count(own, "encoder.down.{}.block.0.conv1.weight")
    widths = [own[f"encoder.down.{level}.block.0.conv1.weight"][0] for level in range(levels)]
    return AutoencoderConfig(
        in_channels=in_channels,
        out_channels=shape(own, "decoder.conv_out.weight", where)[0],
        channels=channels,
        channel_mult=tuple(width // channels for width in widths),
        num_res_blocks=count(own, "encoder.down.0.block.{}.conv1.weight"),
        latent_channels=shape(own, "decoder.conv_in.weight", where)[1],
        quant="quant_conv.weight" in own,
        post_quant="post_quant_conv.weight" in own,
        video=any(TIME_LAYERS in name for name in own),
    )


def _levels(own: Shapes, where: str) -> list[list[str]]:
    """Names of the residual blocks on the way down, level by level; a down-sampling block ends a level."""
    levels: list[list[str]] = [[]]
    for number in range(1, _count_blocks(own)):
        block = f"input_blocks.{number}"
        if f"{block}.0.op.weight" in own:
            levels.append([])
        else:
            shape(own, f"{block}.0.in_layers.2.weight", where)
            levels[-1].append(block)
    return levels


def _count_blocks(own: Shapes) -> int:
    return len({name.split(".")[1] for name in own if name.startswith("input_blocks.")})


def _depth(own: Shapes, block: str) -> int:
    return count(own, block + ".1.transformer_blocks.{}.norm1.weight")


def _cross_only(own: Shapes, block: str) -> bool:
    """Whether the first attention of a level looks at the tokens, too: its keys are as wide as they are."""
    keys = own.get(f"{block}.1.transformer_blocks.0.attn1.to_k.weight")
    return keys is not None and keys[1] != keys[0]


def count(shapes: Shapes, pattern: str) -> int:
    number = 0
    while pattern.format(number) in shapes:
        number += 1
    return number


def shape(shapes: Shapes, name: str, where: str) -> tuple[int, ...]:
    if name not in shapes:
        raise ArchitectureError(
            "a tensor is missing", where=where, expected=name, hint="Is the file whole, and of this kind?"
        )
    return shapes[name]
