"""Weights in half precision that layers widen: the same bits as if all were widened at once, stored as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.memory import casting
from engine.memory.casting import compute_in, computes_in
from engine.memory.handle import ModelHandle
from engine.models.adapters.applying import changed_weight
from engine.models.adapters.changes import Difference
from engine.models.assembly import fill
from engine.models.nets.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.text.tower import PLAIN_ATTENTION, AttentionFactors, load_tower, tower_states
from tests.oracles import families, sd1

SMALL = UNetConfig(model_channels=32, channel_mult=(1, 2), num_res_blocks=1, transformer_depth=(1, 0), num_heads=4,
                   context_channels=24)  # fmt: skip


@pytest.fixture(params=["kept", "each time"])
def keeping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "kept":
        monkeypatch.setattr(casting, "KEPT", 0)
    return str(request.param)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def state(net: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: weight.detach().to(dtype) for name, weight in sd1.randomised(net).state_dict().items()}


def filled(make: Any, weights: dict[str, Tensor], *, narrow: bool) -> Any:
    with torch.device("meta"):
        net = make()
    return fill(net, weights, torch.float32, "test", narrow=narrow).eval().requires_grad_(False)


def unet() -> UNet:
    return UNet(SMALL)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
@torch.inference_mode()
def test_a_net_computes_the_same_bits_as_a_widened_one(keeping: str, dtype: torch.dtype) -> None:
    with torch.device("meta"):
        weights = state(UNet(SMALL), dtype)
    narrow, wide = (filled(unet, weights, narrow=choice) for choice in (True, False))
    inputs = noise(2, 4, 9, 8), torch.tensor([3.0, 801.0]), noise(2, 5, 24)
    assert (computes_in(narrow), computes_in(wide)) == (torch.float32, torch.float32)
    for _ in range(2):
        assert torch.equal(narrow(*inputs), wide(*inputs))
    assert all(weight is weights[name] or weight.data_ptr() == weights[name].data_ptr()
               for name, weight in narrow.named_parameters())  # fmt: skip


@torch.inference_mode()
def test_an_autoencoder_and_a_text_tower_do_too(keeping: str) -> None:
    def make() -> Autoencoder:
        return Autoencoder(AutoencoderConfig(channels=32, channel_mult=(1, 2), num_res_blocks=1))

    with torch.device("meta"):
        weights = state(make(), torch.float16)
    narrow, wide = (filled(make, weights, narrow=choice) for choice in (True, False))
    assert torch.equal(narrow.decode(noise(1, 4, 6, 6)), wide.decode(noise(1, 4, 6, 6)))
    tower = {name: weight.half() for name, weight in families.tower(64, 2, projection=32).state_dict().items()}
    own = load_tower(tower, torch.float32, "test")
    other = load_tower({name: weight.float() for name, weight in tower.items()}, torch.float32, "test")
    ids, spliced = families.ids([320], 0), {(0, 1): noise(64)}
    for factors in (PLAIN_ATTENTION, AttentionFactors(q=1.5)):
        found, expected = (tower_states(net, ids, spliced, -1, factors) for net in (own, other))
        assert all(map(torch.equal, found, expected))


@torch.inference_mode()
def test_weights_that_are_put_in_place_for_a_call_are_the_ones_that_count(keeping: str) -> None:
    layer = nn.Linear(4, 3).half()
    compute_in(layer, torch.float32)
    x, own = noise(2, 4), layer.weight
    before = layer(x)
    layer._parameters["weight"] = nn.Parameter(own + 1, requires_grad=False)
    assert torch.allclose(layer(x), before + x.sum(dim=1, keepdim=True), atol=1e-2)
    layer._parameters["weight"] = own
    assert torch.equal(layer(x), before)


def test_a_layer_that_fails_has_its_own_weights_again(keeping: str) -> None:
    layer = nn.Linear(4, 3).half()
    own = layer.weight
    compute_in(layer, torch.float32)
    with pytest.raises(RuntimeError):
        layer(noise(2, 5))
    assert layer.weight is own


def test_layers_share_the_memory_that_they_widen_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(casting, "KEPT", 0)
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)).half()
    compute_in(net, torch.float32)
    with torch.inference_mode():
        net(noise(1, 8))
    assert net.casting._scratch.numel() == 8 * 8 + 8  # type: ignore[union-attr,operator]


@torch.inference_mode()
def test_widened_weights_keep_their_order_in_memory(keeping: str) -> None:
    layer = nn.Conv2d(3, 5, 3).half().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compute_in(layer, torch.float32)
    assert layer(noise(1, 3, 6, 6)).is_contiguous(memory_format=torch.channels_last)
    found = layer.casting.of(layer)["weight"]  # type: ignore[union-attr,operator]
    assert found.stride() == layer.weight.stride()
    assert torch.equal(found, layer.weight.float())


def test_weights_of_one_type_are_left_alone() -> None:
    net = nn.Linear(4, 3)
    compute_in(net, torch.float32)
    assert not hasattr(net, "casting")


def test_a_handle_widens_what_it_computes_in(keeping: str) -> None:
    handle = ModelHandle(nn.Sequential(nn.Linear(4, 3)).half(), torch.device("cpu"))
    assert handle.dtype == torch.float16
    handle.widen()
    with handle.lease() as net:
        assert net(noise(1, 4)).dtype == torch.float32
    assert handle.dtype == torch.float32
    assert handle.nbytes == 2 * 15


@pytest.mark.parametrize(("dtype", "expected"), [(torch.float8_e4m3fn, torch.float16), (torch.float16, torch.float16)])
def test_adapters_are_not_rounded_to_eight_bits(dtype: torch.dtype, expected: torch.dtype) -> None:
    weight, change = torch.ones(4, 4).to(dtype), Difference(torch.full((4, 4), 0.01))
    changed = changed_weight(weight, ((change, 1.0),))
    assert changed.dtype == expected
    assert (changed.float() - 1.01).abs().max() < 1e-3
