"""Reading ControlNets and T2I-Adapters from files of any layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from engine.foundation.json import parse_lenient
from engine.memory.handle import ModelHandle
from engine.memory.precision import compute_dtype
from engine.models.assembly import fill, unfilled
from engine.models.configs import unet_config
from engine.models.control.control_lora import MARKER, ControlLoraModel
from engine.models.control.controlnet import ControlModel, ControlNetModel
from engine.models.control.errors import ControlError
from engine.models.control.names import controlnet_names, hint_levels
from engine.models.control.t2i import T2IAdapterModel, adapter_names, adapter_net
from engine.models.detect import ArchitectureError, Shapes, detect, wrong_kind
from engine.models.nets.control import TASK_CHANNELS, ControlNet, ControlNetConfig, UnionConfig
from engine.models.weights import Weights, open_weights
from engine.models.widths import family_of_tokens

UNION_HEADS = 8  # of the published unions; cannot be seen in shapes
_PREFIX, _DIFFERENCE = "control_model.", "difference"
_EXPECTED = "a ControlNet, a control-lora or a T2I-Adapter"


def load_control(
    path: Path, device: torch.device, base: Mapping[str, Tensor] | None = None, *, dtype: torch.dtype | None = None
) -> ControlModel:
    """Load a ControlNet, a union, a control-lora or a T2I-Adapter, in the original or diffusers' layout.

    Files that hold differences are added to `base`, the weights of a UNet. The net computes in `dtype`, which is
    float32 on the CPU and float16 elsewhere if None. Raises `ControlError`, `ArchitectureError` for a file of another
    kind or with parts missing, and what `open_weights` raises.
    """
    weights = open_weights(path)
    dtype = dtype or compute_dtype(device)
    if MARKER in weights:
        own = {name: tensor for name, tensor in weights.items() if name != MARKER}
        return ControlLoraModel(path.name, own, device, dtype)
    adapter = adapter_names(weights.shapes)
    if adapter is not None:
        return T2IAdapterModel(path.name, ModelHandle(adapter_net(weights, adapter, dtype, path.name), device))
    named = _controlnet(weights, path)
    if _DIFFERENCE in weights:
        named = _summed(named, base, path)
    config = controlnet_config({name: tuple(tensor.shape) for name, tensor in named.items()}, path.name)
    with unfilled():
        net = ControlNet(config)
    fill(net, named, dtype, path.name, exact=True)
    return ControlNetModel(path.name, ModelHandle(net, device), _pools(path))


def controlnet_config(shapes: Shapes, where: str) -> ControlNetConfig:
    """The shape of a ControlNet from those of its tensors in original names. Raises `ArchitectureError`."""
    width = shapes.get("input_blocks.0.0.weight", (0,))[0]
    unet = unet_config({**shapes, "out.2.weight": (4, width, 3, 3)}, "", where=where)
    hint = hint_levels(shapes)
    if not hint:
        raise ArchitectureError("a tensor is missing", where=where, expected="input_hint_block.0.weight")
    union = None
    if "task_embedding" in shapes:
        tasks, channels = shapes["task_embedding"]
        layers = len({name.split(".")[1] for name in shapes if name.startswith("transformer_layes.")})
        union = UnionConfig(tasks, channels, UNION_HEADS, layers)
        told = shapes.get("control_add_embedding.linear_1.weight", (0, 0))[1]
        if told != tasks * TASK_CHANNELS:
            raise ArchitectureError(
                "the union's parts do not go together",
                where=where,
                expected=f"{tasks * TASK_CHANNELS} inputs of control_add_embedding for {tasks} tasks",
                got=f"{told}",
            )
    return ControlNetConfig(unet, tuple(hint), shapes["input_hint_block.0.weight"][1], union)


def _controlnet(weights: Weights, path: Path) -> dict[str, Tensor]:
    """The tensors of a ControlNet under their original names. Raises `ArchitectureError` if there is none."""
    if any(name.startswith(_PREFIX) for name in weights):
        return weights.part(_PREFIX)
    renamed = controlnet_names(weights)
    if renamed is not None:
        return {new: weights[old] for old, new in renamed.items()}
    if "zero_convs.0.0.weight" in weights:
        return {name: tensor for name, tensor in weights.items() if name != _DIFFERENCE}
    raise wrong_kind(path, detect(weights.shapes), _EXPECTED)


def _summed(named: Mapping[str, Tensor], base: Mapping[str, Tensor] | None, path: Path) -> dict[str, Tensor]:
    """Differences added to the weights of a UNet that they were taken from."""
    if base is None:
        raise ControlError(
            "this file holds differences to a model, and no weights of its own",
            where=f"{path.name}, input control_net_name",
            hint="Load it with the node DiffControlNetLoader, which takes the model.",
        )
    summed = {}
    for name, tensor in named.items():
        own = base.get(name)
        if own is not None and own.shape != tensor.shape:
            got = named.get("input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight")
            raise ControlError(
                "these differences are to another model",
                where=f"{path.name}, input model",
                expected=f"{name} of shape {tuple(tensor.shape)}",
                got=f"{tuple(own.shape)}",
                hint="" if got is None else f"Connect a model of {family_of_tokens(got.shape[1])}.",
            )
        wide = tensor.float()
        summed[name] = wide if own is None else wide + own.detach().to(wide)
    return summed


def _pools(path: Path) -> bool:
    """Whether what a net adds is averaged over the picture. That cannot be seen in its tensors.

    The configuration beside the file says so: of diffusers' layout `config.json`, of the original one the YAML of the
    same name. Without either there is only the name that the authors gave the one such net: shuffle.
    """
    folder_config = path.with_name("config.json")
    if folder_config.is_file():
        told = parse_lenient(folder_config.read_bytes(), where=folder_config.name)
        if isinstance(told, dict) and "global_pool_conditions" in told:
            return bool(told["global_pool_conditions"])
    original = path.with_suffix(".yaml")
    if original.is_file():
        lines = original.read_text("utf-8", errors="replace").lower().splitlines()
        return any(line.split("#")[0].split() == ["global_average_pooling:", "true"] for line in lines)
    return path.stem.lower().removesuffix("_fp16").endswith("shuffle")
