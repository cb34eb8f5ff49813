"""From the names of diffusers' transformer folders to those of the original files.

diffusers keeps queries, keys and values apart, where the originals have one layer for them; and each of its DiT blocks
has the embeddings of time and class, of which the original has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from engine.models.nets.transformer import positions

_BLOCK = re.compile(r"transformer_blocks\.(\d+)\.(.+)")
_MLP = {"ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2"}
_OUT = {"attn1.to_out.0": "attn.proj", "attn2.to_out.0": "cross_attn.proj"}
_JOINED = {
    "attn1.to_q": ("attn.qkv", 0),
    "attn1.to_k": ("attn.qkv", 1),
    "attn1.to_v": ("attn.qkv", 2),
    "attn2.to_k": ("cross_attn.kv_linear", 0),
    "attn2.to_v": ("cross_attn.kv_linear", 1),
}
_IN_BLOCKS = {**_MLP, **_OUT, "attn2.to_q": "cross_attn.q_linear", "norm1.linear": "adaLN_modulation.1"}
_OF_FIRST_BLOCK = {
    "norm1.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "norm1.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "norm1.emb.class_embedder.embedding_table": "y_embedder.embedding_table",
}
_SIZE = {"resolution_embedder": "csize_embedder", "aspect_ratio_embedder": "ar_embedder"}
_ENDS = {
    "pos_embed.proj": "x_embedder.proj",
    "proj_out_1": "final_layer.adaLN_modulation.1",
    "proj_out_2": "final_layer.linear",
    "proj_out": "final_layer.linear",
    "scale_shift_table": "final_layer.scale_shift_table",
    "caption_projection.linear_1": "y_embedder.y_proj.fc1",
    "caption_projection.linear_2": "y_embedder.y_proj.fc2",
    "adaln_single.linear": "t_block.1",
    **{
        f"adaln_single.emb.{there}.linear_{number}": f"{here}.mlp.{2 * number - 2}"
        for there, here in {"timestep_embedder": "t_embedder", **_SIZE}.items()
        for number in (1, 2)
    },
}


def is_diffusers(names: Iterable[str]) -> bool:
    """Whether a transformer net's tensors have diffusers' names."""
    return any(name.startswith("transformer_blocks.0.") for name in names)


def original_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a DiT or a PixArt net under the names of the original files; what is not known keeps its name."""
    named: dict[str, Tensor] = {}
    parts: dict[str, dict[int, Tensor]] = {}
    for name, tensor in weights.items():
        stem, _, leaf = name.rpartition(".") if name.endswith((".weight", ".bias")) else (name, "", "")
        ending = f".{leaf}" if leaf else ""
        found = _BLOCK.fullmatch(stem)
        if found is None:
            named[_ENDS.get(stem, stem) + ending] = tensor
            continue
        number, part = found.groups()
        if part in _OF_FIRST_BLOCK:
            if number == "0":
                named[_OF_FIRST_BLOCK[part] + ending] = tensor
        elif part in _JOINED:
            joined, place = _JOINED[part]
            parts.setdefault(f"blocks.{number}.{joined}{ending}", {})[place] = tensor
        else:
            named[f"blocks.{number}.{_IN_BLOCKS.get(part, part)}{ending}"] = tensor
    joined_parts = {name: torch.cat([tensors[place] for place in sorted(tensors)]) for name, tensors in parts.items()}
    return named | joined_parts


def with_places(weights: Mapping[str, Tensor], side: int) -> dict[str, Tensor]:
    """The tensors of a DiT with its table of places for `side` x `side` tokens, which diffusers' files lack."""
    first = weights["x_embedder.proj.weight"]
    return {"pos_embed": positions(len(first), (side, side), side, first.float()), **weights}
