"""Reference image towers of transformers, and their weights in OpenCLIP's layout."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.oracles import families, sd1
from tests.oracles.sd1 import State


def tower(width: int = 128, layers: int = 3, projection: int = 48, side: int = 28, patch: int = 7, **told: Any) -> Any:
    """An image tower with heads of 64 channels."""
    return sd1.randomised(blank_tower(width, layers, projection, side, patch, **told))


def blank_tower(
    width: int = 128, layers: int = 3, projection: int = 48, side: int = 28, patch: int = 7, **told: Any
) -> Any:
    """The same on the meta device, without numbers."""
    settings = {"hidden_act": "quick_gelu", "num_attention_heads": width // 64, **told}
    config = CLIPVisionConfig(
        hidden_size=width, intermediate_size=4 * width, projection_dim=projection, num_hidden_layers=layers,
        image_size=side, patch_size=patch, **settings,
    )  # fmt: skip
    with torch.device("meta"):
        return CLIPVisionModelWithProjection(config)


def open_clip_state(net: Any) -> State:
    """The weights as OpenCLIP and unCLIP's checkpoints name them below `visual.`."""
    state = net.state_dict()
    own = {
        "class_embedding": state["vision_model.embeddings.class_embedding"],
        "positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "proj": state["visual_projection.weight"].T.contiguous(),
    }
    for old, new in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post")):
        own |= {f"{new}.{leaf}": state[f"vision_model.{old}.{leaf}"] for leaf in ("weight", "bias")}
    for layer in range(net.config.num_hidden_layers):
        old, new = f"vision_model.encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        own |= families.block_state(state, old, new)
    return own
