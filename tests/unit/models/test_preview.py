"""Preview pictures: every method, only the first of a batch, sizes within limits, pictures passed through."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from engine.memory.handle import ModelHandle
from engine.models.nets.tiny_autoencoder import TinyConfig, TinyDecoder
from engine.models.preview import jpeg, preview_image
from engine.tensors.values import LatentPreview


def latent(batch: int = 1, height: int = 8, width: int = 8) -> LatentPreview:
    return LatentPreview(torch.randn(batch, 4, height, width), 0.18215, 8)


def array(image: Pillow.Image | None) -> Any:
    assert image is not None
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.fixture(scope="module")
def decoder() -> ModelHandle[TinyDecoder]:
    return ModelHandle(TinyDecoder(TinyConfig(widths=(4, 4, 4, 4))), torch.device("cpu"))


def test_the_method_none_shows_nothing() -> None:
    assert preview_image(latent(), "none") is None
    assert preview_image(torch.rand(1, 8, 8, 3), "none") is None


@pytest.mark.parametrize("content", [latent(0), torch.zeros(0, 8, 8, 3)])
def test_an_empty_batch_shows_nothing(content: Any, decoder: Any) -> None:
    assert preview_image(content) is None
    assert preview_image(content, decoder=decoder) is None


@pytest.mark.parametrize("method", ["auto", "taesd"])
def test_a_decoder_is_used_where_there_is_one(method: Any, decoder: ModelHandle[TinyDecoder]) -> None:
    content = latent()
    with decoder.lease() as net:
        expected = (net(content.scaled)[0].movedim(0, -1).clamp(0, 1) * 255).round().numpy()
    assert np.abs(array(preview_image(content, method, decoder)) - expected).max() <= 1


@pytest.mark.parametrize("method", ["auto", "taesd", "latent2rgb"])
def test_without_one_colours_are_mapped(method: Any, decoder: Any) -> None:
    content = latent(1, 64, 48)
    expected = array(preview_image(content, "latent2rgb"))
    assert expected.shape == (64, 48, 3)
    assert np.array_equal(array(preview_image(content, method)), expected)
    assert np.array_equal(array(preview_image(content, "latent2rgb", decoder)), expected)


def test_only_the_first_of_a_batch_is_shown() -> None:
    content = latent(3)
    alone = LatentPreview(content.scaled[:1], 0.18215, 8)
    assert np.array_equal(array(preview_image(content)), array(preview_image(alone)))


def test_a_picture_passes_through() -> None:
    levels = torch.randint(0, 256, (2, 64, 70, 3))
    assert np.array_equal(array(preview_image(levels / 255)), levels[0].numpy())


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_becomes_colour_and_transparency_is_left_out(channels: int) -> None:
    levels = torch.randint(0, 256, (1, 64, 64, channels))
    expected = levels[0, ..., :3].expand(-1, -1, 3).numpy()
    assert np.array_equal(array(preview_image(levels / 255)), expected)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((16, 16), (64, 64)),  # repeated 4 times
        ((40, 20), (80, 40)),
        ((1, 1), (64, 64)),
        ((64, 32), (64, 32)),
        ((512, 300), (512, 300)),
        ((1024, 600), (512, 300)),
        ((2000, 1), (512, 1)),
    ],
)
def test_sizes_stay_within_limits(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = preview_image(torch.rand(1, size[1], size[0], 3))
    assert image is not None
    assert image.size == expected


def test_small_pictures_do_not_grow_beyond_a_small_limit() -> None:
    image = preview_image(torch.rand(1, 12, 12, 3), max_side=32)
    assert image is not None
    assert image.size == (24, 24)


def test_values_beyond_the_range_and_no_numbers_are_cut_off() -> None:
    picture = torch.tensor([-1.0, 2.0, torch.nan]).expand(1, 64, 64, 3)
    assert array(preview_image(picture))[0, 0].tolist() == [0, 255, 0]


def test_jpeg_files_hold_the_picture() -> None:
    image = Pillow.new("RGB", (70, 40), (200, 100, 50))
    with Pillow.open(io.BytesIO(jpeg(image))) as read:
        assert (read.format, read.size) == ("JPEG", (70, 40))
        assert np.abs(np.asarray(read).astype(int) - (200, 100, 50)).max() < 5
