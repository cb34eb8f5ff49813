"""The reference depth net of transformers (DPT-hybrid), and its weights under the original names."""

from __future__ import annotations

from typing import Any

import torch
from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

from tests.oracles import sd1
from tests.oracles.sd1 import State


def net(
    stages: tuple[int, ...] = (128, 128, 256),
    blocks: tuple[int, ...] = (2, 1, 2),
    *,
    stem: int = 32,
    width: int = 64,
    layers: int = 4,
    features: int = 32,
    side: int = 64,
) -> Any:
    """A DPT-hybrid with heads of 64 channels."""
    backbone = BitConfig(
        embedding_size=stem, hidden_sizes=list(stages), depths=list(blocks), layer_type="bottleneck",
        global_padding="same", embedding_dynamic_padding=True, out_features=["stage1", "stage2", "stage3"],
    )  # fmt: skip
    config = DPTConfig(
        is_hybrid=True, backbone_config=backbone, hidden_size=width, num_hidden_layers=layers, layer_norm_eps=1e-6,
        num_attention_heads=width // 64, intermediate_size=4 * width, image_size=side, patch_size=16,
        neck_hidden_sizes=[*stages[:2], width, width], fusion_hidden_size=features, readout_type="project",
        backbone_featmap_shape=[1, stages[-1], side // 16, side // 16], neck_ignore_stages=[0, 1],
        backbone_out_indices=[0, 1, 3 * layers // 4 - 1, layers - 1], reassemble_factors=[1, 1, 1, 0.5],
    )  # fmt: skip
    with torch.device("meta"):
        built = DPTForDepthEstimation(config)
    built = sd1.randomised(built)
    built.head.head[4].weight *= 30
    built.head.head[4].bias += 9.0  # above the last ReLU, so that comparisons are not of zeros
    return built


def state(built: Any) -> State:
    """The weights as MiDaS' files name them, with a class head that nobody uses."""
    found: State = {}
    own = dict(built.state_dict())
    width = built.config.hidden_size
    for name in own:
        if ".attention.attention.query." in name:
            parts = [own[name.replace("query", part)] for part in ("query", "key", "value")]
            leaf = name.rpartition(".")[2]
            found[f"pretrained.model.blocks.{_number(name)}.attn.qkv.{leaf}"] = torch.cat(parts)
    for name, weight in own.items():
        new = _renamed(name)
        if new is not None:
            found[new] = weight
    found["pretrained.model.head.weight"] = torch.zeros(10, width)
    found["pretrained.model.head.bias"] = torch.zeros(10)
    return found


def _number(name: str) -> str:
    return next(part for part in name.split(".") if part.isdecimal())


_PLAIN = {
    "dpt.embeddings.cls_token": "pretrained.model.cls_token",
    "dpt.embeddings.position_embeddings": "pretrained.model.pos_embed",
    "dpt.embeddings.projection": "pretrained.model.patch_embed.proj",
    "dpt.layernorm": "pretrained.model.norm",
    "neck.reassemble_stage.readout_projects.2.0": "pretrained.act_postprocess3.0.project.0",
    "neck.reassemble_stage.readout_projects.3.0": "pretrained.act_postprocess4.0.project.0",
    "neck.reassemble_stage.layers.2.projection": "pretrained.act_postprocess3.3",
    "neck.reassemble_stage.layers.3.projection": "pretrained.act_postprocess4.3",
    "neck.reassemble_stage.layers.3.resize": "pretrained.act_postprocess4.4",
    "head.head": "scratch.output_conv",
}
_BIT = "dpt.embeddings.backbone.bit."
_LAYER = {
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}


def _renamed(name: str) -> str | None:
    if name.startswith(_BIT):
        rest = name.removeprefix(_BIT)
        rest = rest.replace("embedder.convolution", "stem.conv").replace("embedder.norm", "stem.norm")
        rest = rest.replace("encoder.", "").replace(".layers.", ".blocks.")
        return f"pretrained.model.patch_embed.backbone.{rest}"
    for old, new in _PLAIN.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    if name.startswith("neck.convs."):
        number, _, leaf = name.removeprefix("neck.convs.").partition(".")
        return f"scratch.layer{int(number) + 1}_rn.{leaf}"
    if name.startswith("neck.fusion_stage.layers."):
        number, _, rest = name.removeprefix("neck.fusion_stage.layers.").partition(".")
        rest = rest.replace("projection", "out_conv").replace("residual_layer", "resConfUnit")
        return f"scratch.refinenet{4 - int(number)}.{rest.replace('convolution', 'conv')}"
    for old, new in _LAYER.items():
        if f".{old}." in name and name.startswith("dpt.encoder."):
            return f"pretrained.model.blocks.{_number(name)}.{new}.{name.rpartition('.')[2]}"
    return None
