"""The estimate of what a forward takes besides weights, against tensors counted while they are alive."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.models.nets.denoising import row_bytes
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.nets.video_unet import VideoUNet

SD1 = UNetConfig(model_channels=64)
LINEAR = {"num_heads": None, "head_channels": 32, "linear_projection": True}
XL = UNetConfig(model_channels=32, channel_mult=(1, 2, 4), transformer_depth=(0, 2, 10), middle_depth=10, **LINEAR)
VIDEO = UNetConfig(
    in_channels=8, model_channels=32, channel_mult=(1, 2, 4), transformer_depth=(1, 1, 0), context_channels=96,
    vector_channels=96, video=True, **LINEAR,
)  # fmt: skip
SHALLOW = UNetConfig(model_channels=32, channel_mult=(1, 2, 4), num_res_blocks=1, transformer_depth=(1, 1, 0))
BARE = UNetConfig(model_channels=64, channel_mult=(1, 2, 4), transformer_depth=(0, 0, 0), middle_depth=0)
FULL_XL = UNetConfig(
    channel_mult=(1, 2, 4),
    transformer_depth=(0, 2, 10),
    middle_depth=10,
    context_channels=2048,
    num_heads=None,
    head_channels=64,
)


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that operations have made and that are still there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {
            tensor.untyped_storage()._cdata for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)
        }
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage(), given)
        return result

    def _count(self, storage: Any, given: set[int]) -> None:
        if storage._cdata in self._known | given:
            return
        self._known.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())

    def _free(self, storage: int, count: int) -> None:
        self._known.discard(storage)
        self.now -= count


def counted(config: UNetConfig, height: int, width: int, tokens: int, rows: int) -> float:
    """Numbers alive at the most, a row."""
    net = UNet(config).eval().requires_grad_(False)
    x = torch.zeros(rows, config.in_channels, height, width)
    inputs = (x, torch.zeros(rows), torch.zeros(rows, tokens, config.context_channels))
    with torch.inference_mode(), Live() as live:
        net(*inputs)
    return live.peak / rows / x.itemsize


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 24)])
@pytest.mark.parametrize("config", [SD1, XL, SHALLOW])
def test_the_estimate_is_what_is_alive(config: UNetConfig, height: int, width: int, rows: int) -> None:
    estimate = config.activations(height, width, 77)
    assert 1.0 <= estimate / counted(config, height, width, 77, rows) < 1.1


@pytest.mark.parametrize("config", [SD1, XL, SHALLOW])
def test_many_tokens_over_few_cells_count(config: UNetConfig) -> None:
    assert 0.9 <= config.activations(16, 16, 77 * 40) / counted(config, 16, 16, 77 * 40, 1) < 1.2


@pytest.mark.parametrize(("frames", "height", "width"), [(14, 16, 32), (5, 24, 40)])
def test_the_frames_of_a_video_count(frames: int, height: int, width: int) -> None:
    net = VideoUNet(VIDEO).eval().requires_grad_(False)
    each = (1, frames)
    x, tokens = torch.zeros(*each, 8, height, width), torch.zeros(*each, 1, 96)
    inputs = [x, torch.zeros(each), tokens, torch.zeros(*each, 96)]
    with torch.inference_mode(), Live() as live:
        net(*inputs)
    assert 1.0 <= row_bytes(net, inputs) / live.peak < 1.1


def test_the_estimate_for_a_net_without_attention_is_above() -> None:
    assert 1.0 <= BARE.activations(32, 32, 77) / counted(BARE, 32, 32, 77, 2) < 1.3


@pytest.mark.parametrize(("config", "side", "gib"), [(UNetConfig(), 64, 0.13), (FULL_XL, 128, 0.31)])
def test_full_size_nets_take_what_was_measured_for_a_pair(config: UNetConfig, side: int, gib: float) -> None:
    assert 2 * config.activations(side, side, 77) * 2 / 2**30 == pytest.approx(gib, rel=0.1)
