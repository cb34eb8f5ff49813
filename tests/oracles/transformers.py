"""diffusers' DiT and PixArt nets with random weights, patched where the originals differ, and their original files.

diffusers counts the frequencies of DiT's time to the very end of the range (shift 1), the original does not (0), and
its second norm of a block has another epsilon than the original's.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from torch import Tensor

from tests.oracles import sd1

State = dict[str, Tensor]
_ENDS = {
    "x_embedder.proj": "pos_embed.proj",
    "y_embedder.y_proj.fc1": "caption_projection.linear_1",
    "y_embedder.y_proj.fc2": "caption_projection.linear_2",
    "t_block.1": "adaln_single.linear",
    "t_embedder.mlp.0": "adaln_single.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "adaln_single.emb.timestep_embedder.linear_2",
    "csize_embedder.mlp.0": "adaln_single.emb.resolution_embedder.linear_1",
    "csize_embedder.mlp.2": "adaln_single.emb.resolution_embedder.linear_2",
    "ar_embedder.mlp.0": "adaln_single.emb.aspect_ratio_embedder.linear_1",
    "ar_embedder.mlp.2": "adaln_single.emb.aspect_ratio_embedder.linear_2",
}
_DIT_ENDS = {
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "transformer_blocks.0.norm1.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "transformer_blocks.0.norm1.emb.timestep_embedder.linear_2",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "final_layer.linear": "proj_out_2",
}


def dit(heads: int = 2, head: int = 64, depth: int = 2, side: int = 4, **options: Any) -> Any:
    """A DiT for latents of `2 * side` cells, whose blocks have equal embeddings of time and class."""
    with torch.device("meta"):
        net = DiTTransformer2DModel(
            num_attention_heads=heads, attention_head_dim=head, num_layers=depth, in_channels=4, out_channels=8,
            sample_size=2 * side, norm_eps=1e-6, **options,
        )  # fmt: skip
    net = _with_places(sd1.randomised(net), heads * head, side, 1.0)
    first = net.transformer_blocks[0].norm1.emb
    first.time_proj.downscale_freq_shift = 0
    for block in net.transformer_blocks[1:]:
        block.norm1.emb = deepcopy(first)
    return net


def pixart(
    heads: int = 2,
    head: int = 72,
    depth: int = 2,
    side: int = 4,
    context: int = 48,
    scale: float = 1.0,
    sizes: bool = False,
    **options: Any,
) -> Any:
    """A PixArt net for latents of `2 * side` cells; places are `1 / scale` apart."""
    with torch.device("meta"):
        net = PixArtTransformer2DModel(
            num_attention_heads=heads, attention_head_dim=head, num_layers=depth, in_channels=4, out_channels=8,
            sample_size=2 * side, cross_attention_dim=heads * head, caption_channels=context,
            interpolation_scale=scale, use_additional_conditions=sizes, **options,
        )  # fmt: skip
    return _with_places(sd1.randomised(net), heads * head, side, scale)


def _with_places(net: Any, width: int, side: int, scale: float) -> Any:
    table = get_2d_sincos_pos_embed(width, side, base_size=side, interpolation_scale=scale, output_type="pt")
    net.pos_embed.pos_embed = table.float()[None]
    return net


def dit_state(net: Any) -> State:
    """The weights of a DiT in the original layout."""
    own = net.state_dict()
    table = own["transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight"]
    state = {"y_embedder.embedding_table.weight": table, "pos_embed": net.pos_embed.pos_embed, **_ends(own, _DIT_ENDS)}
    for number in range(len(net.transformer_blocks)):
        state |= _block(own, number, {"adaLN_modulation.1": "norm1.linear"})
    return state


def pixart_state(net: Any, null_tokens: int = 0) -> State:
    """The weights of a PixArt net in the original layout."""
    own = net.state_dict()
    state = {"pos_embed": net.pos_embed.pos_embed, **_ends(own, {**_ENDS, "final_layer.linear": "proj_out"})}
    state["final_layer.scale_shift_table"] = own["scale_shift_table"]
    if null_tokens:
        state["y_embedder.y_embedding"] = torch.zeros(null_tokens, net.config.caption_channels)
    for number in range(len(net.transformer_blocks)):
        there, here = f"transformer_blocks.{number}", f"blocks.{number}"
        state |= _block(own, number, {"cross_attn.q_linear": "attn2.to_q", "cross_attn.proj": "attn2.to_out.0"})
        state[f"{here}.scale_shift_table"] = own[f"{there}.scale_shift_table"]
        for leaf in ("weight", "bias"):
            parts = [own[f"{there}.attn2.to_{part}.{leaf}"] for part in "kv"]
            state[f"{here}.cross_attn.kv_linear.{leaf}"] = torch.cat(parts)
    return state


def _ends(own: State, table: dict[str, str]) -> State:
    return {
        f"{here}.{leaf}": own[f"{there}.{leaf}"]
        for here, there in table.items()
        for leaf in ("weight", "bias")
        if f"{there}.{leaf}" in own
    }


def _block(own: State, number: int, more: dict[str, str]) -> State:
    there, here = f"transformer_blocks.{number}", f"blocks.{number}"
    table = {"attn.proj": "attn1.to_out.0", "mlp.fc1": "ff.net.0.proj", "mlp.fc2": "ff.net.2", **more}
    state = _ends(own, {f"{here}.{a}": f"{there}.{b}" for a, b in table.items()})
    for leaf in ("weight", "bias"):
        state[f"{here}.attn.qkv.{leaf}"] = torch.cat([own[f"{there}.attn1.to_{part}.{leaf}"] for part in "qkv"])
    return state
