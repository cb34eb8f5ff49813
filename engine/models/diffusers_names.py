"""From the names of diffusers' folders to those of the original files. Free of torch.

The blocks of a UNet are counted one by one in the original and level by level in diffusers, an autoencoder's levels on
the way up from the other end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "time_embedding.cond_proj": "time_cond_proj",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "class_embedding": "label_emb",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_OVER_TIME = {  # of videos' nets, wherever they stand in a name
    ".spatial_res_block.": ".",
    **{f".temporal_res_block.{old}.": f".time_stack.{new}." for old, new in RESNET.items()},
    ".temporal_transformer_blocks.": ".time_stack.",
    ".time_pos_embed.linear_1.": ".time_pos_embed.0.",
    ".time_pos_embed.linear_2.": ".time_pos_embed.2.",
}
_VAE_ENDS = {
    "decoder.time_conv_out": "decoder.conv_out.time_mix_conv",
    "quant_conv": "quant_conv",
    "post_quant_conv": "post_quant_conv",
    **{f"{half}.conv_{end}": f"{half}.conv_{end}" for half in ("encoder", "decoder") for end in ("in", "out")},
    **{f"{half}.conv_norm_out": f"{half}.norm_out" for half in ("encoder", "decoder")},
    **{f"{half}.mid_block.resnets.{i}": f"{half}.mid.block_{i + 1}" for half in ("encoder", "decoder") for i in (0, 1)},
    **{f"{half}.mid_block.attentions.0": f"{half}.mid.attn_1" for half in ("encoder", "decoder")},
}


def unet_names(names: Iterable[str]) -> dict[str, str]:
    """The original name of each of diffusers' names of a UNet; what is not known keeps its name."""
    names = list(names)
    table, blocks = dict(_UNET_ENDS), _places(names, "down_blocks.")
    number = 0
    for level in sorted(blocks):
        for block in range(blocks[level]):
            number += 1
            table[f"down_blocks.{level}.resnets.{block}"] = f"input_blocks.{number}.0"
            table[f"down_blocks.{level}.attentions.{block}"] = f"input_blocks.{number}.1"
        number += 1
        table[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
    number = 0
    for level, count in sorted(_places(names, "up_blocks.").items()):
        attends = any(name.startswith(f"up_blocks.{level}.attentions.") for name in names)
        for block in range(count):
            table[f"up_blocks.{level}.resnets.{block}"] = f"output_blocks.{number}.0"
            table[f"up_blocks.{level}.attentions.{block}"] = f"output_blocks.{number}.1"
            number += 1
        table[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{number - 1}.{2 if attends else 1}.conv"
    return {name: _renamed(_replaced(name, _OVER_TIME), table, RESNET) for name in names}


def vae_names(names: Iterable[str]) -> dict[str, str]:
    """The same for an autoencoder. Parts of the middle attention keep their names."""
    names, table = list(names), dict(_VAE_ENDS)
    for level, count in _places(names, "encoder.down_blocks.").items():
        table |= {f"encoder.down_blocks.{level}.resnets.{i}": f"encoder.down.{level}.block.{i}" for i in range(count)}
        table[f"encoder.down_blocks.{level}.downsamplers.0"] = f"encoder.down.{level}.downsample"
    up = _places(names, "decoder.up_blocks.")
    for level, count in up.items():
        own = len(up) - 1 - level
        table |= {f"decoder.up_blocks.{level}.resnets.{i}": f"decoder.up.{own}.block.{i}" for i in range(count)}
        table[f"decoder.up_blocks.{level}.upsamplers.0"] = f"decoder.up.{own}.upsample"
    inner = _OVER_TIME | {".time_mixer.": "."}
    return {name: _renamed(_replaced(name, inner), table, {"conv_shortcut": "nin_shortcut"}) for name in names}


def is_unet(names: Iterable[str]) -> bool:
    """Whether names are those of a UNet in diffusers' form."""
    return any(name.startswith("down_blocks.0.resnets.0.") for name in names)


def is_vae(names: Iterable[str]) -> bool:
    """Whether names are those of an autoencoder in diffusers' form."""
    return any(name.startswith("decoder.mid_block.resnets.0.") for name in names)


def _places(names: Iterable[str], start: str) -> dict[int, int]:
    """How many residual blocks there are on each level below `start`."""
    found: dict[int, int] = {}
    for name in names:
        parts = name.removeprefix(start).split(".")
        if name.startswith(start) and len(parts) > 2 and parts[1] == "resnets" and parts[0].isdecimal():
            found[int(parts[0])] = max(found.get(int(parts[0]), 0), int(parts[2]) + 1)
    return found


def _replaced(name: str, parts: Mapping[str, str]) -> str:
    for old, new in parts.items():
        name = name.replace(old, new)
    return name


def _renamed(name: str, blocks: Mapping[str, str], leaves: Mapping[str, str]) -> str:
    """`name` with its longest known beginning, and the part of a residual block behind that, replaced."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        block = ".".join(parts[:count])
        if block in blocks:
            part, *rest = parts[count:]
            part = leaves.get(part, part) if ".resnets." in f"{block}." else part
            return ".".join([blocks[block], part, *rest])
    return name
