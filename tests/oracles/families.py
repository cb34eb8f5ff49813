"""Reference nets of diffusers and transformers for the families after SD1, and their weights under original names.

As in `sd1`, names are converted here, independently of the engine.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.oracles import sd1
from tests.oracles.sd1 import State

VOCABULARY, START, END = 49408, 49406, 49407


def linear_unet(*shape: Any, **options: Any) -> UNet2DConditionModel:
    """A random UNet, see `hollow_unet`."""
    return sd1.randomised(hollow_unet(*shape, **options))


def hollow_unet(
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    context: int,
    *,
    blocks: int = 1,
    channels: int = 4,
    vector: int | None = None,
    kind: str | None = None,
    **options: Any,
) -> UNet2DConditionModel:
    """A UNet with linear projections and heads of 64 channels, without numbers; a depth of 0 has no attention there.

    `kind` says what its `vector` is: "sizes" (SDXL) or "projection" (unCLIP).
    """
    attends = [depth > 0 for depth in depths]
    sizes: dict[str, Any] = {}
    if kind == "sizes":
        sizes = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": vector,
        }
    elif kind == "projection":
        sizes = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": vector}
    heads = {"attention_head_dim": tuple(width // 64 for width in widths)}
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=64,
            in_channels=channels,
            block_out_channels=widths,
            layers_per_block=blocks,
            cross_attention_dim=context,
            transformer_layers_per_block=tuple(depth or max(depths) for depth in depths),
            use_linear_projection=True,
            down_block_types=["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends],
            up_block_types=["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)],
            **{**heads, **sizes, **options},
        )


def unet_state(net: UNet2DConditionModel) -> State:
    """The weights of a UNet of any of these families under the original names, without prefix."""
    extra = {
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "class_embedding.linear_1": "label_emb.0.0",
        "class_embedding.linear_2": "label_emb.0.2",
        "class_embedding": "label_emb",
        "time_embedding.cond_proj": "time_embed.cond_proj",
    }
    found: State = {}
    rest: State = {}
    for name, weight in net.state_dict().items():
        start = next((old for old in extra if name.startswith(old + ".")), None)
        if start is None:
            rest[name] = weight
        else:
            found[extra[start] + name.removeprefix(start)] = weight

    class Plain:
        config, up_blocks = net.config, net.up_blocks

        def state_dict(self) -> State:
            return rest

    return sd1.unet_state(Plain()) | found  # type: ignore[arg-type]


def tower(width: int, layers: int, *, activation: str = "gelu", projection: int | None = None, seed: int = 0) -> Any:
    """A text tower; with `projection` its pooled state is projected to that width."""
    return sd1.randomised(blank_tower(width, layers, activation=activation, projection=projection), seed)


def blank_tower(width: int, layers: int, *, activation: str = "gelu", projection: int | None = None) -> Any:
    """The same on the meta device, without numbers."""
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        vocab_size=VOCABULARY,
        max_position_embeddings=77,
        hidden_act=activation,
        projection_dim=projection or width,
        eos_token_id=END,
        bos_token_id=START,
    )
    with torch.device("meta"):
        return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def open_clip_state(net: Any) -> State:
    """A text tower's weights as OpenCLIP names them: queries, keys and values in one, the projection transposed."""
    state = {name.removeprefix("text_model."): weight for name, weight in net.state_dict().items()}
    layers = net.config.num_hidden_layers
    renamed = {
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6),
    }
    if "text_projection.weight" in state:
        renamed["text_projection"] = state["text_projection.weight"].T.contiguous()
    for layer in range(layers):
        renamed |= block_state(state, f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}.")
    return renamed


def block_state(state: State, old: str, new: str) -> State:
    """One transformer block in OpenCLIP's names."""
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    parts["self_attn.out_proj"] = "attn.out_proj"
    renamed = {
        f"{new}{parts[part]}.{leaf}": state[f"{old}{part}.{leaf}"] for part in parts for leaf in ("weight", "bias")
    }
    for leaf in ("weight", "bias"):
        renamed[f"{new}attn.in_proj_{leaf}"] = torch.cat([state[f"{old}self_attn.{x}_proj.{leaf}"] for x in "qkv"])
    return renamed


def prefixed(prefix: str, state: State) -> State:
    """`state` with `prefix` before every name."""
    return {prefix + name: weight for name, weight in state.items()}


def ids(tokens: list[int], padding: int) -> Tensor:
    """A row of 77 token ids."""
    return torch.tensor([[START, *tokens, END, *[padding] * (75 - len(tokens))]])
