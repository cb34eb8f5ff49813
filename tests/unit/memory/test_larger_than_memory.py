"""A checkpoint that is larger than the machine's memory is opened, planned and streamed out of its file."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from engine.memory.host import Held, held_by
from engine.models.mapping import mapped, tensor_in
from engine.models.weights import open_weights
from engine.runtime.result_cache import BASE_BYTES, Result, ResultCache
from tests.unit.memory.large_files import LAYER, loaded, own_bytes, streamed, written

MIB = 2**20
LAYERS = 2 * psutil.virtual_memory().total // LAYER


def test_a_file_twice_as_large_as_memory_is_computed_with_in_a_few_layers_of_memory(tmp_path: Path) -> None:
    expected = written(tmp_path / "deep.safetensors", LAYERS)
    assert (tmp_path / "deep.safetensors").stat().st_blocks < MIB // 512
    before = own_bytes()
    handle = loaded(tmp_path / "deep.safetensors", LAYERS)
    assert (streamed(handle, 6, 5 * LAYER) - expected).abs().max() <= 1e-3 * expected.abs().max()
    assert own_bytes() - before < 6 * LAYER


def test_its_weights_count_as_mapped_and_its_model_is_kept(tmp_path: Path) -> None:
    written(tmp_path / "deep.safetensors", LAYERS)
    handle, cache = loaded(tmp_path / "deep.safetensors", LAYERS), ResultCache(MIB)
    with handle.look() as net:
        assert held_by(net) == Held(0, handle.nbytes)
    cache.put("key", Result(((handle,),)))  # type: ignore[arg-type]
    assert cache.get("key") is not None  # type: ignore[arg-type]
    assert cache.nbytes == BASE_BYTES


def test_its_weights_may_be_written_to_in_memory_only(tmp_path: Path) -> None:
    written(tmp_path / "deep.safetensors", LAYERS)
    for _ in range(2):  # the second time the file is as before
        weight = open_weights(tmp_path / "deep.safetensors")["large.0.weight"]
        assert float(weight[0, 0]) == 0.0
        weight[0, 0] = 5.0
        assert float(weight[0, 0]) == 5.0


@pytest.mark.parametrize("start", [16, 17])
@pytest.mark.parametrize("shape", [(2, 3), (0, 3), ()])
def test_tensors_lie_in_a_file_or_are_copied_out_of_it_where_they_lie_astray(
    start: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    expected = torch.randn(shape)
    (tmp_path / "file").write_bytes(bytes(start) + expected.numpy().tobytes() + b"rest")
    pages = mapped(tmp_path / "file")
    assert pages is not None
    assert torch.equal(tensor_in(pages, start, torch.float32, shape), expected)
