"""Text and image towers in OpenCLIP's layout (SD2, SDXL's bigG, unCLIP) under the names that transformers uses."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_TEXT = {
    "positional_embedding": "embeddings.position_embedding.weight",
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_IMAGE = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}
_BLOCKS_BACK = {name: original for original, name in _BLOCK.items()}
_IMAGE_BACK = {name: original for original, name in _IMAGE.items()} | {"visual_projection.weight": "proj"}
_TEXT_BACK = {name: original for original, name in _TEXT.items()} | {"text_projection.weight": "text_projection"}


def text_tower(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A text tower's tensors under today's names, without `text_model.`; what is not known keeps its name.

    The projection of pooled states is transposed, queries, keys and values are taken apart.
    """
    return _renamed(weights, _TEXT, "", "text_projection")


def image_tower(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An image tower's tensors (those under `visual.`), named as in transformers."""
    return _renamed(weights, _IMAGE, "vision_model.", "proj")


def is_text_tower(weights: Mapping[str, object]) -> bool:
    """Whether names are of this layout."""
    return "positional_embedding" in weights and "token_embedding.weight" in weights


def original_name(name: str) -> str:
    """OpenCLIP's name of a text tower's tensor; the three of queries, keys and values have the same, in that order."""
    if name.startswith("encoder.layers."):
        number, _, rest = name.removeprefix("encoder.layers.").partition(".")
        part, _, leaf = rest.rpartition(".")
        if part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
            return f"transformer.resblocks.{number}.attn.in_proj_{leaf}"
        return f"transformer.resblocks.{number}.{_BLOCKS_BACK.get(part, part)}.{leaf}"
    return _TEXT_BACK.get(name, name)


def original_image_name(name: str) -> str:
    """The same for an image tower's tensor, below `visual.`."""
    return _IMAGE_BACK.get(name) or original_name(name.removeprefix("vision_model."))


def _renamed(
    weights: Mapping[str, Tensor], table: Mapping[str, str], prefix: str, projection: str
) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name == projection:
            renamed["visual_projection.weight" if prefix else "text_projection.weight"] = tensor.T
        elif name.startswith("transformer.resblocks."):
            number, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
            renamed |= _of_block(f"{prefix}encoder.layers.{number}.", rest, tensor)
        else:
            renamed[table.get(name, name)] = tensor
    return renamed


def _of_block(block: str, rest: str, tensor: Tensor) -> dict[str, Tensor]:
    if rest.startswith("attn.in_proj_"):
        leaf = rest.removeprefix("attn.in_proj_")
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{block}self_attn.{letter}_proj.{leaf}": part for letter, part in parts}
    part, _, leaf = rest.rpartition(".")
    return {f"{block}{_BLOCK.get(part, part)}.{leaf}": tensor}
