"""Nodes around ControlNets: files of the model folders, kinds of unions, soft weights, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.foundation.errors import EaselError
from engine.models.control.controlnet import TASKS, ControlNetModel, ControlNetUse
from engine.models.control.errors import ControlError
from engine.node import NodeContext
from engine.tensors.rows import Row, Rows
from engine.tensors.values import Image
from nodes.control import (
    apply_control,
    apply_control_advanced,
    apply_control_with_vae,
    encode_for_control,
    load_controlnet,
    load_difference,
    set_union_type,
    soft_weights,
)
from nodes.picture_prompts import load_ip_adapter_file
from tests.oracles import control, families, pictures
from tests.oracles.sd1 import State
from tests.unit.diffusion.nets import CONTEXT, noise, prompt, twins
from tests.unit.models.test_hypernetworks import Files

HINT_NET = (16, 16, 32, 32)
HINT = Image(torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1)))


def saved(folder: Path, state: State, name: str = "net.safetensors") -> Any:
    """The context of nodes that find a file."""
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / name)
    return NodeContext(Files(folder))  # type: ignore[arg-type]


def plain(folder: Path) -> tuple[Any, State]:
    state = control.controlnet_state(control.controlnet(twins()[1], hint=HINT_NET))
    return saved(folder, state), state


def test_loaders_give_a_net_with_the_name_of_its_file(tmp_path: Path) -> None:
    ctx, _ = plain(tmp_path)
    for model in (load_controlnet("net.safetensors", ctx), load_difference(twins()[0], "net.safetensors", ctx)):
        assert isinstance(model, ControlNetModel)
        assert model.name == "net.safetensors"
        assert model.nbytes > 0


def test_a_union_is_told_each_of_its_kinds_and_refuses_those_it_was_not_trained_for(tmp_path: Path) -> None:
    unet = families.linear_unet((64, 128), (0, 1), CONTEXT, vector=64 + 6 * 256, kind="sizes")
    net = control.controlnet(unet, union=True, hint=HINT_NET, num_control_type=6)
    model = load_controlnet("net.safetensors", saved(tmp_path, dict(net.state_dict())))
    told: Any = [set_union_type(model, task) for task in TASKS[:6]]
    assert [each.tasks for each in told] == [(number,) for number in range(6)]
    with pytest.raises(ControlError, match=r"was not trained for that: expected auto, openpose, .*segment, got tile"):
        set_union_type(model, "tile")


def test_soft_weights_belong_to_the_net(tmp_path: Path) -> None:
    model: Any = soft_weights(load_controlnet("net.safetensors", plain(tmp_path)[0]), 0.7)
    positive, _ = apply_control_advanced(prompt(1), prompt(2), model, HINT)
    use = positive.prompts[0].controls[0]
    assert isinstance(use, ControlNetUse)
    assert use.model.soft == 0.7


def test_the_node_with_a_vae_does_the_same(tmp_path: Path) -> None:
    model = load_controlnet("net.safetensors", plain(tmp_path)[0])
    sides = apply_control_with_vae(prompt(1), prompt(2), model, None, HINT, 0.5, 0.1, 0.9)  # type: ignore[arg-type]
    (first,), (second,) = (side.prompts[0].controls for side in sides)
    assert first is second
    assert isinstance(first, ControlNetUse)
    assert (first.strength, first.start, first.end, first.shared) == (0.5, 0.1, 0.9, False)
    (old,) = apply_control(prompt(1), model, HINT, 0.5).prompts[0].controls
    assert old.shared


def test_a_prompt_for_control_nets_goes_along_with_the_prompt_and_must_be_as_wide(tmp_path: Path) -> None:
    clip: Any = SimpleNamespace(encode=lambda text: prompt(len(text)))
    told = encode_for_control(clip, prompt(1), "a drawing").prompts[0]
    assert told.control_tokens is not None
    assert torch.equal(told.control_tokens, prompt(9).prompts[0].tokens)
    assert torch.equal(told.tokens, prompt(1).prompts[0].tokens)
    use: Any = load_controlnet("net.safetensors", plain(tmp_path)[0]).control(HINT, 1.0, 0.0, 1.0)
    rows = Rows([Row(0, (8, 8), told=torch.zeros(5, CONTEXT + 1))])
    with pytest.raises(ControlError, match=rf"another text encoder: expected tokens of width {CONTEXT}, got"):
        twins()[0].with_patches(use).denoise(noise(1, 4, 8, 8), 1.0, noise(1, 5, CONTEXT), rows=rows)


@pytest.mark.parametrize("damaged", ["middle_block.0.in_layers.2.weight", "time_embed.0.bias"])
def test_damaged_weights_are_named_when_they_are_used(tmp_path: Path, damaged: str) -> None:
    _, state = plain(tmp_path)
    state[damaged] = torch.full_like(state[damaged], torch.nan)
    model = load_controlnet("net.safetensors", saved(tmp_path, state))
    use: Any = model.control(HINT, 1.0, 0.0, 1.0)
    with pytest.raises(ControlError, match=r"net\.safetensors: this ControlNet gives numbers that are none: got NaN"):
        twins()[0].with_patches(use).denoise(noise(1, 4, 8, 8), 1.0, noise(1, 5, CONTEXT))


def test_files_of_other_kinds_are_named_with_the_folder_they_belong_in(tmp_path: Path) -> None:
    adapter = pictures.flat(pictures.ip_adapter(twins()[1], "plain", 48))
    ctx = saved(tmp_path, adapter)
    with pytest.raises(EaselError, match=r"got an IP-Adapter .*It belongs in models/ipadapter"):
        load_controlnet("net.safetensors", ctx)
    ctx = saved(tmp_path, pictures.style_state(64, CONTEXT))
    with pytest.raises(EaselError, match=r"got a style model .*It belongs in models/style_models"):
        load_ip_adapter_file("net.safetensors", ctx)
    ctx, _ = plain(tmp_path)
    with pytest.raises(EaselError, match=r"expected an IP-Adapter.*got a ControlNet .*It belongs in models/controlnet"):
        load_ip_adapter_file("net.safetensors", ctx)
    lora = {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.zeros(4, 4)}
    with pytest.raises(EaselError, match=r"got a LoRA .*It belongs in models/loras"):
        load_controlnet("net.safetensors", saved(tmp_path, lora))
