"""Mask nodes, against formulas in plain numpy, scipy and Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageChops
from scipy import ndimage

from engine.node import NodeContext
from engine.tensors.images import ImageError
from engine.tensors.values import Image, Mask
from nodes import mask as nodes
from nodes.compositing import join_alpha, split_alpha


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_solid_mask_has_one_value() -> None:
    mask = nodes.solid_mask(0.25, 6, 4)
    assert mask.shape == (1, 4, 6)
    assert (mask == 0.25).all()


def test_inverting_twice_and_going_through_a_picture_gives_the_mask_back() -> None:
    mask = Mask(torch.tensor([[[0.0, 0.25], [0.5, 1.0]]]))
    assert torch.equal(nodes.invert_mask(nodes.invert_mask(mask)), mask)
    picture = nodes.mask_to_image(mask)
    assert picture.shape == (1, 2, 2, 3)
    for channel in ("red", "green", "blue"):
        assert torch.equal(nodes.image_to_mask(picture, channel), mask)


def test_a_single_plane_is_a_batch_of_one() -> None:
    plane = Mask(random(4, 5))
    assert nodes.mask_to_image(plane).shape == (1, 4, 5, 3)
    assert nodes.grow_mask(plane, 1).shape == (1, 4, 5)
    assert nodes.crop_mask(plane, 1, 1, 2, 2).shape == (1, 2, 2)


def test_a_channel_that_is_not_there_is_told_by_name() -> None:
    picture = Image(random(1, 2, 2, 4))
    assert torch.equal(nodes.image_to_mask(picture, "alpha"), picture[..., 3])
    with pytest.raises(ImageError, match=r"input channel: .*expected one of red, green, blue, got alpha"):
        nodes.image_to_mask(Image(picture[..., :3]), "alpha")


def test_a_colour_is_found_in_8_bits() -> None:
    picture = torch.zeros(1, 1, 4, 3)
    picture[0, 0, 1] = torch.tensor([255, 128, 1]) / 255
    picture[0, 0, 2] = torch.tensor([255, 128.4, 1]) / 255
    picture[0, 0, 3] = torch.tensor([255, 128, 2]) / 255
    assert nodes.colour_to_mask(Image(picture), 0xFF8001).tolist() == [[[0.0, 1.0, 1.0, 0.0]]]
    assert nodes.colour_to_mask(Image(picture), 0).tolist() == [[[1.0, 0.0, 0.0, 0.0]]]


@pytest.mark.parametrize(
    ("operation", "pillow"),
    [("multiply", "multiply"), ("add", "add"), ("subtract", "subtract"), ("and", "darker"), ("or", "lighter")],
)
def test_masks_combine_as_pictures_do_in_pillow(operation: str, pillow: str) -> None:
    generator = np.random.default_rng(0)
    whole = operation in ("and", "or")
    a, b = (generator.integers(0, 2, (6, 7)) * 255 if whole else generator.integers(0, 256, (6, 7)) for _ in range(2))
    planes = [Pillow.fromarray(x.astype(np.uint8)) for x in (a, b)]
    expected = np.asarray(getattr(ImageChops, pillow)(*planes)) / 255
    got = nodes.composite_masks(Mask(torch.tensor(a / 255)), Mask(torch.tensor(b / 255)), operation=operation)
    assert np.abs(got[0].numpy() - expected).max() < 1 / 255


def test_a_mask_is_combined_at_a_place_and_cut_at_the_edges() -> None:
    ground, stamp = Mask(torch.zeros(2, 4, 4)), Mask(torch.ones(1, 3, 3))
    result = nodes.composite_masks(ground, stamp, 2, 3, operation="or")
    assert result[:, 3, 2:].eq(1).all()
    assert result.sum() == 4
    assert nodes.composite_masks(result, stamp, 0, 0, operation="xor")[0].tolist()[0] == [1, 1, 1, 0]


def test_a_place_outside_is_told_by_input() -> None:
    with pytest.raises(ImageError, match=r"inputs x and y: .*expected a corner within 4 x 3 pixels, got 4, 0"):
        nodes.composite_masks(Mask(torch.zeros(1, 3, 4)), Mask(torch.ones(1, 2, 2)), 4, 0, operation="add")
    with pytest.raises(ImageError, match="inputs x and y"):
        nodes.crop_mask(Mask(torch.zeros(1, 3, 4)), 0, 3)


@given(by=st.integers(-4, 4), tapered=st.booleans(), seed=st.integers(0, 5))
def test_growing_is_scipys_grey_morphology(by: int, tapered: bool, seed: int) -> None:
    mask = random(2, 7, 9, seed=seed)
    corner = not tapered
    footprint = np.array([[corner, 1, corner], [1, 1, 1], [corner, 1, corner]])
    for plane, grown in zip(mask, nodes.grow_mask(Mask(mask), by, tapered), strict=True):
        expected = plane.numpy()
        for _ in range(abs(by)):
            expected = (ndimage.grey_dilation if by > 0 else ndimage.grey_erosion)(expected, footprint=footprint)
        assert np.array_equal(grown.numpy(), expected)


def test_growing_without_end_ends() -> None:
    mask = torch.zeros(1, 5, 8)
    mask[0, 0, 0] = 1
    for tapered in (False, True):
        assert nodes.grow_mask(Mask(mask), 16384, tapered).eq(1).all()
        assert nodes.grow_mask(Mask(1 - mask), -16384, tapered).eq(0).all()


def test_feathering_falls_by_steps_at_each_side() -> None:
    mask = nodes.feather_mask(Mask(torch.ones(1, 4, 8)), left=4, top=0, right=2, bottom=2)
    assert mask[0, 0].tolist() == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 0.5]
    assert mask[0, :, 3].tolist() == [1.0, 1.0, 1.0, 0.5]
    assert nodes.feather_mask(Mask(torch.ones(1, 2, 2)), 100, 0, 0, 0)[0, 0].tolist() == [0.5, 1.0]


def test_a_threshold_is_not_above_itself() -> None:
    assert nodes.threshold_mask(Mask(torch.tensor([[[0.4, 0.5, 0.6]]])), 0.5).tolist() == [[[0.0, 0.0, 1.0]]]


def test_masks_of_other_sizes_join_a_batch() -> None:
    batch = nodes.batch_masks([Mask(torch.ones(1, 4, 4)), Mask(torch.zeros(2, 8, 16)), Mask(torch.ones(3, 5))])
    assert batch.shape == (4, 4, 4)
    assert [plane.mean().item() for plane in batch] == [1.0, 0.0, 0.0, 1.0]


def test_a_mask_is_shown_as_a_grey_picture(tmp_path: Path) -> None:
    saved: list[Any] = []

    class Services:
        metadata: dict[str, str] = {}  # noqa: RUF012

        def save(self, data: bytes, prefix: str, suffix: str, place: str, size: tuple[int, int]) -> Any:
            saved.append((data, suffix, place, size))

    nodes.preview_mask(Mask(torch.full((2, 3, 5), 0.5)), NodeContext(Services()))  # type: ignore[arg-type]
    assert [(suffix, place, size) for _, suffix, place, size in saved] == [(".png", "temp", (5, 3))] * 2
    (tmp_path / "x.png").write_bytes(saved[0][0])
    with Pillow.open(tmp_path / "x.png") as picture:
        assert picture.getpixel((0, 0)) == (127, 127, 127)


def test_transparency_is_joined_and_split_again() -> None:
    picture, mask = Image(random(1, 4, 6, 3)), Mask(torch.tensor([[[0.0, 1.0], [0.25, 0.5]]]))
    joined = join_alpha(picture, nodes.batch_masks([mask, mask]))
    assert joined.shape == (2, 4, 6, 4)
    colour, again = split_alpha(joined)
    assert torch.equal(colour[1], picture[0])
    assert again[0, 0, 0] == mask[0, 0, 0]
    assert again[0, -1, 0] == mask[0, 1, 0]
    assert split_alpha(picture)[1].eq(0).all()
