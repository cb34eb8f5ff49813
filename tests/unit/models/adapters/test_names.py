"""Names of modules: what diffusers has, computed, and what each format makes of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from engine.models.adapters.names import diffusers_name, modules_of, text_names, unet_names
from engine.models.nets.unet import UNet, UNetConfig

SD1 = UNetConfig()
SDXL = UNetConfig(
    channel_mult=(1, 2, 4),
    transformer_depth=(0, 2, 10),
    middle_depth=10,
    context_channels=2048,
    num_heads=None,
    head_channels=64,
    linear_projection=True,
    vector_channels=2816,
)
SD2 = UNetConfig(context_channels=1024, num_heads=None, head_channels=64, linear_projection=True)
SDXL_ORACLE: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD2_ORACLE = {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}


def without_memory(make: Any, *args: Any, **options: Any) -> nn.Module:
    with torch.device("meta"):
        net: nn.Module = make(*args, **options)
    return net


@pytest.mark.parametrize(
    ("config", "oracle"),
    [(SD1, {"cross_attention_dim": 768}), (SD2, SD2_ORACLE), (SDXL, SDXL_ORACLE)],
    ids=["SD1", "SD2", "SDXL"],
)
def test_modules_are_called_what_diffusers_calls_them(config: UNetConfig, oracle: dict[str, Any]) -> None:
    state = without_memory(UNet, config).state_dict()
    modules = modules_of(state)
    expected = without_memory(UNet2DConditionModel, **oracle).state_dict()
    named = {diffusers_name(module, modules, config.num_res_blocks): module for module in modules}
    assert len(named) == len(modules)
    assert named.keys() == set(modules_of(expected))
    assert all(expected[f"{name}.weight"].shape == state[f"{module}.weight"].shape for name, module in named.items())


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_out_0",
        "lycoris_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_out.0",
    ],
)
def test_a_module_has_a_name_in_every_format(name: str) -> None:
    names = unet_names(modules_of(without_memory(UNet, SD1).state_dict()), 2)
    assert names[name] == "input_blocks.4.1.transformer_blocks.0.attn1.to_out.0"


def test_a_middle_without_attention_has_its_second_block_one_place_earlier() -> None:
    modules = ["middle_block.0.in_layers.2", "middle_block.1.in_layers.2"]
    assert [diffusers_name(module, modules, 2) for module in modules] == [
        "mid_block.resnets.0.conv1",
        "mid_block.resnets.1.conv1",
    ]


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_text_towers_have_prefixes_of_their_own(prefix: str) -> None:
    module = f"{prefix}encoder.layers.3.mlp.fc1"
    flat, dotted = "text_model_encoder_layers_3_mlp_fc1", "text_model.encoder.layers.3.mlp.fc1"
    only, first, second = (text_names([module], tower) for tower in ("only", "first", "second"))
    assert only[f"lora_te_{flat}"] == only[f"text_encoder.{dotted}"] == only[dotted] == module
    assert first[f"lora_te1_{flat}"] == first[f"text_encoder.{dotted}"] == module
    assert second[f"lora_te2_{flat}"] == second[f"text_encoder_2.{dotted}"] == module
    assert not (first.keys() & second.keys())
