"""All of a checkpoint that is larger than the machine's memory goes through a window of a few layers."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.unit.memory.large_files import LAYER, loaded, own_bytes, streamed, written

pytestmark = pytest.mark.slow
LAYERS = 3 * psutil.virtual_memory().total // (2 * LAYER)


def test_every_layer_of_a_file_half_as_large_again_as_memory_is_computed_with(tmp_path: Path) -> None:
    expected = written(tmp_path / "deep.safetensors", LAYERS)
    before = own_bytes()
    handle = loaded(tmp_path / "deep.safetensors", LAYERS)
    assert (streamed(handle, LAYERS, 5 * LAYER) - expected).abs().max() <= 1e-3 * expected.abs().max()
    assert own_bytes() - before < 6 * LAYER
