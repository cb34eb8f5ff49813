"""Each format of LyCORIS against the package of its authors: its own modules write the file and merge the weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lycoris
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.models.adapters.building import changes_of
from engine.models.adapters.reading import read_adapter

CASES = [
    ("LoConModule", {}),
    ("LoConModule", {"use_tucker": True}),
    ("LohaModule", {}),
    ("LohaModule", {"use_tucker": True}),
    ("LokrModule", {"factor": 4}),
    ("LokrModule", {"factor": 4, "decompose_both": True}),
    ("LokrModule", {"factor": 4, "use_tucker": True}),
    ("LokrModule", {"full_matrix": True}),
    ("GLoRAModule", {}),
    ("FullModule", {}),
    ("DiagOFTModule", {}),
    ("DiagOFTModule", {"constraint": 0.001}),
    ("ButterflyOFTModule", {}),
    ("IA3Module", {}),
    ("IA3Module", {"train_on_input": True}),
]
# Of these the strength is read in several ways; here it leads in a straight line from the weight to the changed one.
FULL_STRENGTH = [
    ("LoConModule", {"weight_decompose": True}),
    ("LoConModule", {"weight_decompose": True, "wd_on_output": False}),
    ("LokrModule", {"factor": 4, "weight_decompose": True}),
    ("DiagOFTModule", {"rescaled": True}),
    ("ButterflyOFTModule", {"rescaled": True}),
]


def layer(kind: str) -> nn.Module:
    return nn.Linear(24, 32) if kind == "linear" else nn.Conv2d(24, 32, 1 if kind == "point" else 3)


def adapted(name: str, options: dict[str, Any], kind: str, folder: Path, strength: float) -> tuple[Any, Any]:
    """The weight as the engine changes it, and as LyCORIS merges it."""
    torch.manual_seed(0)
    base = layer(kind)
    weight = base.weight.detach().clone()
    module = getattr(lycoris.modules, name)("lora_unet_x", base, 1.0, 4, 2.0, **options)
    if name == "FullModule":
        module.apply_to()  # which makes it the whole weight, of which the file has the difference
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += torch.randn_like(parameter) * 0.3
        if name == "LohaModule":  # whose merging counts alpha twice and leaves convolutions flat, unlike its training
            expected = weight + strength * module.get_weight(weight.shape)
        else:
            expected = module.get_merged_weight(strength)[0]
    tensors = {f"lora_unet_x.{part}": tensor.contiguous() for part, tensor in module.state_dict().items()}
    save_file(tensors, folder / "file.safetensors")
    file = read_adapter(folder / "file.safetensors")
    assert file.unknown == ()
    leaves = {"weight": tuple(weight.shape), "bias": (32,)}
    changes = dict(changes_of(file.entries["lora_unet_x"], leaves, "here"))
    changed = changes["weight"].applied(weight, strength)
    assert (changed - weight).abs().max() > 1e-4
    return changed, expected.reshape(weight.shape)


@pytest.mark.parametrize("strength", [1.0, 0.6, -0.5])
@pytest.mark.parametrize("kind", ["linear", "point", "conv"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_file_of_lycoris_merges_as_lycoris_does(
    tmp_path: Path, name: str, options: dict[str, Any], kind: str, strength: float
) -> None:
    got, expected = adapted(name, options, kind, tmp_path, strength)
    assert (got - expected).abs().max() < 1e-5


@pytest.mark.parametrize(("name", "options"), FULL_STRENGTH)
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_renormalised_and_rescaled_weights_agree_at_full_strength(
    tmp_path: Path, name: str, options: dict[str, Any], kind: str
) -> None:
    got, expected = adapted(name, options, kind, tmp_path, 1.0)
    assert (got - expected).abs().max() < 1e-5
