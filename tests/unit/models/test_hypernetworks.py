"""Hypernetworks: files of the usual trainer, equal to its nets as torch modules, on attention of every width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.models.detect import ArchitectureError
from engine.models.hypernetworks import HypernetworkError, attention_widths, read_hypernetwork
from engine.models.nets.attention import Attention
from engine.models.nets.patches import Site
from engine.node import NodeContext
from nodes.adapters import load_hypernetwork
from tests.unit.diffusion.nets import CONTEXT, noise, twins

TORCH = {"linear": nn.Identity, "relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "swish": nn.Hardswish, "tanh": nn.Tanh}
SITE = Site((), 1.0, (8, 8), 32)


class Trained(nn.Module):
    """A net as the trainer builds it: linear layers, each but the last followed by the activation and what else."""

    def __init__(self, width: int, activation: str, *, norm: bool, dropout: bool, active: bool) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for layer, (before, after) in enumerate(((1, 2), (2, 2), (2, 1))):
            parts.append(nn.Linear(width * before, width * after))
            if activation != "linear" and (layer < 2 or active):
                parts.append(TORCH[activation]())
            if norm:
                parts.append(nn.LayerNorm(width * after))
            if dropout and layer < 2:
                parts.append(nn.Dropout())
        self.linear = nn.Sequential(*parts).eval()
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.2)


def trained(
    width: int, activation: str = "relu", *, norm: bool = False, dropout: bool = False, active: bool = False
) -> Any:
    torch.manual_seed(width)
    return [Trained(width, activation, norm=norm, dropout=dropout, active=active) for _ in range(2)]


def saved(path: Path, nets: dict[int, Any], **said: object) -> Path:
    content: dict[object, object] = {width: tuple(net.state_dict() for net in pair) for width, pair in nets.items()}
    torch.save(content | {"step": 7, "name": "style", "layer_structure": [1, 2, 2, 1]} | said, path)
    return path


@pytest.mark.parametrize("activation", TORCH)
@pytest.mark.parametrize(
    ("norm", "dropout", "active"),
    [(False, False, False), (True, False, False), (True, True, True), (False, True, True)],
)
def test_a_file_gives_the_trainers_nets(
    tmp_path: Path, activation: str, norm: bool, dropout: bool, active: bool
) -> None:
    pair = trained(16, activation, norm=norm, dropout=dropout, active=active)
    said = {"activation_func": activation, "is_layer_norm": norm, "activate_output": active}
    found = read_hypernetwork(saved(tmp_path / "style.pt", {16: pair}, **said))
    x = noise(2, 5, 16)
    keys, values = found.sources(SITE, x, x)
    with torch.no_grad():
        assert (keys - (x + pair[0].linear(x))).abs().max() < 1e-5
        assert (values - (x + pair[1].linear(x))).abs().max() < 1e-5
    other = noise(2, 5, 12)
    assert found.sources(SITE, other, other) == (other, other)


def test_the_first_files_number_their_layers_without_a_dot(tmp_path: Path) -> None:
    pair = [{"linear1.weight": noise(8, 4), "linear1.bias": noise(8), "linear2.weight": noise(4, 8)} for _ in range(2)]
    torch.save({4: pair}, tmp_path / "old.pt")
    found, x = read_hypernetwork(tmp_path / "old.pt"), noise(1, 3, 4)
    expected = x + (x @ pair[0]["linear1.weight"].T + pair[0]["linear1.bias"]) @ pair[0]["linear2.weight"].T
    assert (found.sources(SITE, x, x)[0] - expected).abs().max() < 1e-5


class Files:
    """The files of one folder."""

    device, metadata = torch.device("cpu"), dict[str, str]()

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, _kind: str, name: str) -> Path:
        return self.folder / name


@pytest.mark.parametrize("strength", [1.0, -0.5])
def test_a_net_attends_to_what_the_hypernetwork_makes_of_its_tokens(tmp_path: Path, strength: float) -> None:
    nets = {width: trained(width) for width in (CONTEXT, 64)}
    saved(tmp_path / "style.pt", nets, activation_func="relu")
    denoiser, oracle = twins()
    ctx = NodeContext(Files(tmp_path))  # type: ignore[arg-type]
    changed = load_hypernetwork(denoiser, "style.pt", strength, ctx)
    x, tokens = noise(1, 4, 16, 16), noise(1, 5, CONTEXT)
    for name, module in oracle.named_modules():
        if name.endswith((".to_k", ".to_v")):
            pair = nets.get(module.in_features)
            if pair:
                module.register_forward_pre_hook(_changed(pair[name.endswith(".to_v")], strength))
    with torch.no_grad():
        expected = x - oracle(x / 2**0.5, torch.tensor(denoiser.levels.timestep(1.0)), tokens).sample
    assert (changed.denoise(x, 1.0, tokens) - expected).abs().max() < 1e-4
    assert (denoiser.denoise(x, 1.0, tokens) - expected).abs().max() > 1e-3
    assert load_hypernetwork(denoiser, "missing", 0.0, ctx) is denoiser


def _changed(net: Any, strength: float) -> Any:
    def hook(_module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (inputs[0] + strength * net.linear(inputs[0]),)

    return hook


def test_attention_without_patches_sees_its_tokens() -> None:
    net = Attention(8, 12, 2)
    assert attention_widths(nn.ModuleDict({"x": net})) == {12}


def test_one_for_another_family_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "style.pt", {48: trained(48)}, activation_func="relu")
    with pytest.raises(HypernetworkError, match=r"style\.pt: nothing .* expected one of the widths 32, 64.*got 48"):
        load_hypernetwork(twins()[0], "style.pt", 1.0, NodeContext(Files(tmp_path)))  # type: ignore[arg-type]


def test_files_that_make_no_sense_are_refused_by_the_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    pair = trained(4)
    saved(path, {4: pair}, activation_func="wobble")
    with pytest.raises(HypernetworkError, match=r"expected linear, relu, .* got wobble"):
        read_hypernetwork(path)
    torch.save({4: [{"linear.0.weight": noise(8, 5)}] * 2}, path)
    with pytest.raises(
        HypernetworkError, match=r"bad\.pt, 4\.0, layer 0: the layers do not follow .* expected input 4"
    ):
        read_hypernetwork(path)
    torch.save({4: [pair[0].state_dict()]}, path)
    with pytest.raises(HypernetworkError, match=r"bad\.pt, 4\.1: this hypernetwork is incomplete"):
        read_hypernetwork(path)
    torch.save({4: [{"linear.0.weight": torch.full((4, 4), torch.nan)}] * 2}, path)
    with pytest.raises(HypernetworkError, match=r"4\.0\.linear\.0\.weight: there are numbers .* got NaN"):
        read_hypernetwork(path)
    save_file({"emb_params": torch.ones(1, 8)}, tmp_path / "e.safetensors")
    with pytest.raises(ArchitectureError, match="expected a hypernetwork, got a textual inversion"):
        read_hypernetwork(tmp_path / "e.safetensors")
