"""Upscalers: every file layout against spandrel, and pictures through them in tiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.foundation.errors import EaselError
from engine.memory.handle import ModelHandle
from engine.models.detect import ArchitectureError
from engine.models.nets.compact import CompactConfig, CompactNet
from engine.models.nets.rrdb import RrdbConfig, RrdbNet
from engine.models.nets.swinir import SwinConfig, SwinIR
from engine.models.upscale import UpscaleError, UpscaleModel
from engine.models.upscalers import load_upscaler
from tests.oracles.upscalers import GOLDEN, picture, weights_of

CPU = torch.device("cpu")
MANIFESTS: dict[str, Any] = json.loads((GOLDEN / "upscalers.json").read_text("utf-8"))


def written(name: str, path: Path) -> Path:
    """A file of the layout `name`."""
    save_file(weights_of(MANIFESTS[name]), path / "upscaler.safetensors")
    return path / "upscaler.safetensors"


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_layout_gives_what_spandrel_gives(name: str, tmp_path: Path) -> None:
    model = load_upscaler(written(name, tmp_path), CPU)
    with np.load(GOLDEN / "upscalers.npz") as golden:
        expected = golden[name.removesuffix("_real").removesuffix("_trunk")]
    with model.net.lease() as net:
        result = net(picture(model.channels)).numpy()
    assert result.shape[-1] == 16 * model.scale
    assert np.abs(result - expected).max() < 1e-5


@pytest.mark.parametrize("nest", ["params_ema", "params", "state_dict", None])
def test_pickles_nest_the_weights_as_trainers_do(nest: str | None, tmp_path: Path) -> None:
    weights = {f"module.{name}": value for name, value in weights_of(MANIFESTS["compact_x4"]).items()}
    torch.save({nest: weights} if nest else weights, tmp_path / "x.pth")
    assert load_upscaler(tmp_path / "x.pth", CPU).scale == 4


@pytest.mark.parametrize(
    ("make", "config", "millions"),
    [
        (RrdbNet, RrdbConfig(), 16.698),  # RealESRGAN_x4plus
        (RrdbNet, RrdbConfig(blocks=6), 4.468),  # RealESRGAN_x4plus_anime_6B
        (CompactNet, CompactConfig(depth=32), 1.213),  # realesr-general-x4v3
        (SwinIR, SwinConfig(), 11.900),  # 001_classicalSR_DF2K_s64w8_SwinIR-M_x4
    ],
)
def test_full_size_nets_have_as_many_parameters_as_the_published_ones(
    make: Callable[[Any], nn.Module], config: Any, millions: float
) -> None:
    with torch.device("meta"):
        net = make(config)
    assert sum(weight.numel() for weight in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.001)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"lora_unet_x.lora_up.weight": torch.zeros(1)}, r"expected an upscaler \(ESRGAN.*got a LoRA"),
        ({"something.else": torch.zeros(4, 3, 3, 3)}, r"expected an upscaler \(ESRGAN.*spandrel.*unknown kind"),
    ],
)
def test_another_kind_of_file_is_told_as_what_it_is(tensors: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(ArchitectureError, match=message):
        load_upscaler(tmp_path / "x.safetensors", CPU)


def test_a_file_that_lacks_tensors_names_them(tmp_path: Path) -> None:
    weights = weights_of(MANIFESTS["esrgan_x4_real"])
    del weights["body.1.rdb2.conv3.weight"]
    save_file(weights, tmp_path / "x.safetensors")
    with pytest.raises(ArchitectureError, match=r"1 missing \(body\.1\.rdb2\.conv3\.weight\)"):
        load_upscaler(tmp_path / "x.safetensors", CPU)


def test_a_damaged_file_is_an_error_of_ours(tmp_path: Path) -> None:
    path = written("compact_x4", tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EaselError):
        load_upscaler(path, CPU)


def test_what_is_not_known_goes_to_spandrel_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spandrel.py").write_text(
        """
import torch
class UnsupportedModelError(Exception): pass
class ImageModelDescriptor:
    model, scale, input_channels = torch.nn.Upsample(scale_factor=3), 3, 3
class ModelLoader:
    def load_from_state_dict(self, weights):
        if "known" not in weights: raise UnsupportedModelError("no")
        found = ImageModelDescriptor()
        found.model.weight = torch.nn.Parameter(torch.zeros(1))
        return found
""",
        "utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "spandrel", raising=False)
    save_file({"known": torch.zeros(1)}, tmp_path / "x.safetensors")
    model = load_upscaler(tmp_path / "x.safetensors", CPU)
    assert model.upscale(torch.ones(1, 4, 4, 3)).shape == (1, 12, 12, 3)
    save_file({"other": torch.zeros(1)}, tmp_path / "y.safetensors")
    with pytest.raises(ArchitectureError):
        load_upscaler(tmp_path / "y.safetensors", CPU)
    monkeypatch.delitem(__import__("sys").modules, "spandrel", raising=False)


class Doubling(nn.Module):
    """Enlarges by repetition, refuses tiles above a size, and counts those it took."""

    def __init__(self, largest: int = 10**6, result: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.largest = largest
        self.result = result
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        if max(x.shape[-2:]) > self.largest:
            raise torch.OutOfMemoryError("too large")
        self.sizes.append(tuple(x.shape))
        larger = x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
        return larger if self.result is None else torch.full_like(larger, self.result)


def model_of(net: nn.Module, channels: int = 3) -> UpscaleModel:
    return UpscaleModel(ModelHandle(net, CPU), 2, channels, 1000, "tiny.pth")


def enlarged(images: Tensor) -> Tensor:
    return images.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)


def test_tiles_give_the_picture_of_the_whole_and_report_progress() -> None:
    images = torch.rand(2, 150, 100, 3, generator=torch.Generator().manual_seed(0))
    told: list[tuple[int, int]] = []
    result = model_of(Doubling()).upscale(images, lambda done, total: told.append((done, total)), tile=64)
    assert torch.allclose(result, enlarged(images), atol=1e-6)
    assert told[0] == (1, told[-1][1])
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


def test_tiles_shrink_until_they_fit_into_memory() -> None:
    images = torch.rand(1, 300, 200, 3, generator=torch.Generator().manual_seed(0))
    net = Doubling(largest=130)
    result = model_of(net).upscale(images, tile=512)
    assert torch.allclose(result, enlarged(images), atol=1e-6)
    assert max(max(size) for size in net.sizes) == 128
    with pytest.raises(torch.OutOfMemoryError):
        model_of(Doubling(largest=8)).upscale(images)


@pytest.mark.parametrize(("free", "side"), [(10**12, 512), (2 * 256 * 256 * 1000, 256), (10, 64)])
def test_the_first_tile_is_as_large_as_memory_allows(free: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.upscale.free_memory", lambda _device: free)
    assert model_of(Doubling()).fitting_tile() == side


def test_alpha_is_kept_and_grey_goes_both_ways() -> None:
    images = torch.rand(1, 8, 8, 4, generator=torch.Generator().manual_seed(0))
    images[..., 3] = 0.5
    result = model_of(Doubling()).upscale(images)
    assert torch.allclose(result[..., :3], enlarged(images[..., :3]), atol=1e-6)
    assert result[..., 3].sub(0.5).abs().max() < 1e-6
    net = Doubling()
    assert torch.allclose(model_of(net, channels=1).upscale(images[..., :3]), enlarged(images[..., :3]), atol=1e-6)
    assert net.sizes == [(3, 1, 8, 8)]
    assert model_of(Doubling()).upscale(images[..., :1]).shape == (1, 16, 16, 1)


def test_values_that_are_no_numbers_are_told() -> None:
    with pytest.raises(UpscaleError, match=r"tiny\.pth: the enlarged picture is not a number.*weights are damaged"):
        model_of(Doubling(result=float("nan"))).upscale(torch.zeros(1, 4, 4, 3))


@pytest.mark.parametrize("name", ["esrgan_unshuffle", "swinir_shuffle", "swinir_jpeg"])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (9, 17)])
def test_pictures_of_any_size_are_enlarged(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    model = load_upscaler(written(name, tmp_path), CPU)
    result = model.upscale(torch.rand(1, *size, 3))
    assert result.shape == (1, size[0] * model.scale, size[1] * model.scale, 3)
