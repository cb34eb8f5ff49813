"""Controls made of pictures, against kornia, scipy and shapes whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import kornia
import numpy as np
import pytest
import torch
from scipy import ndimage

from engine.tensors import controls
from engine.tensors.images import ImageError
from engine.tensors.values import Image
from nodes import preprocessors as nodes

ALL: list[Callable[[Image], Image]] = [
    nodes.canny,
    nodes.scribble,
    nodes.soft_edges,
    nodes.line_art,
    nodes.tile,
    nodes.shuffle,
    nodes.colour_map,
    nodes.depth,
    nodes.normal,
]


def random(*shape: int) -> Image:
    return Image(torch.rand(*shape, generator=torch.Generator().manual_seed(0)))


def square() -> Image:
    """A white square of 32 pixels in the middle of 64."""
    picture = torch.zeros(1, 64, 64, 3)
    picture[:, 16:48, 16:48] = 1
    return Image(picture)


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_controls_have_the_size_of_the_picture_and_stay_in_range(
    function: Callable[[Image], Image], channels: int
) -> None:
    control = function(random(2, 17, 23, channels))
    assert control.shape[:3] == (2, 17, 23)
    assert control.min() >= 0
    assert control.max() <= 1


@pytest.mark.parametrize("function", ALL)
def test_a_batch_is_made_as_its_pictures_alone(function: Callable[[Image], Image]) -> None:
    pictures = random(2, 24, 24, 3)
    if function is not nodes.shuffle:
        alone = torch.cat([function(Image(picture[None])) for picture in pictures])
        assert torch.allclose(function(pictures), alone, atol=1e-6)
    assert function(Image(torch.zeros(1, 1, 1, 3))).isfinite().all()


def test_canny_is_that_of_kornia_on_the_brightness() -> None:
    picture = random(1, 32, 32, 3)
    expected = kornia.filters.Canny(0.1, 0.3)(picture.movedim(-1, 1))[1]
    assert torch.equal(nodes.canny(picture, 0.1, 0.3)[..., 0], expected[:, 0])
    edges = nodes.canny(square(), 0.1, 0.2)[0, ..., 0]
    assert edges[:13].sum() == edges[20:44, 20:44].sum() == 0
    assert edges[32].sum() in (2, 4)


def test_thresholds_the_wrong_way_round_are_told_by_input() -> None:
    with pytest.raises(ImageError, match=r"input low_threshold: .*expected at most high_threshold, 0\.2, got 0\.5"):
        nodes.canny(square(), 0.5, 0.2)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 6.0])
def test_smoothing_is_scipys_gaussian(sigma: float) -> None:
    plane = random(1, 1, 20, 30)
    radius = int(np.ceil(3 * sigma))
    expected = ndimage.gaussian_filter(plane[0, 0].numpy(), sigma, mode="nearest", radius=radius)
    assert np.allclose(controls.smoothed(plane, sigma)[0, 0].numpy(), expected, atol=1e-6)


def test_slopes_are_kornias_and_exact_on_a_ramp() -> None:
    planes = random(2, 3, 9, 11)
    expected = kornia.filters.spatial_gradient(planes)
    assert torch.allclose(torch.stack(controls.slopes(planes), dim=2), expected, atol=1e-6)
    ramp = (torch.arange(8.0)[:, None] * 0.1 + torch.arange(9.0) * 0.02)[None, None]
    right, down = (slope[0, 0, 1:-1, 1:-1] for slope in controls.slopes(ramp))
    assert torch.allclose(right, torch.full_like(right, 0.02), atol=1e-6)
    assert torch.allclose(down, torch.full_like(down, 0.1), atol=1e-6)


def test_soft_edges_are_strongest_at_the_edge_and_fade() -> None:
    edges = nodes.soft_edges(square())[0, 32, :, 0]
    assert edges.max() == 1
    assert edges.argmax().item() in (15, 16, 47, 48)
    assert edges[16] > edges[19] > edges[22] > edges[31]
    assert edges[0] < 0.01


def test_dark_lines_become_white_ones() -> None:
    drawing = torch.ones(1, 64, 64, 3)
    drawing[:, 30:32] = 0.2
    for control in (nodes.line_art(Image(drawing)), nodes.scribble(Image(drawing))):
        lines = control[0, :, 32, 0]
        assert lines[30:32].min() > 0.45
        assert lines[:20].max() < 0.05
    assert not nodes.line_art(Image(torch.ones(1, 8, 8, 3))).any()
    assert nodes.scribble(Image(drawing / 2 + 0.5), 255).sum() == 0


def test_a_tile_control_keeps_the_colours_and_loses_the_details() -> None:
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    picture = Image(checks.float()[None, ..., None].repeat(1, 1, 1, 3))
    assert torch.allclose(nodes.tile(picture), torch.full((1, 64, 64, 3), 0.5), atol=1e-5)
    assert torch.equal(nodes.tile(picture, 1), picture)


def test_a_colour_map_has_mean_colours_in_squares() -> None:
    picture = random(1, 128, 64, 3)
    blocks = nodes.colour_map(picture, 32)
    assert len(blocks.reshape(-1, 3).unique(dim=0)) == 8
    assert torch.allclose(blocks[0, 40, 5], picture[0, 32:64, :32].mean(dim=(0, 1)), atol=1e-6)
    assert len(nodes.colour_map(picture, 1024).reshape(-1, 3).unique(dim=0)) == 1


def test_shuffling_keeps_the_colours_and_depends_on_the_seed() -> None:
    picture = Image(torch.zeros(1, 64, 64, 3))
    picture[:, :, 32:, 0] = 1
    warped = nodes.shuffle(picture, 1, 16)
    assert not torch.equal(warped, picture)
    assert torch.equal(warped, nodes.shuffle(picture, 1, 16))
    assert not torch.equal(warped, nodes.shuffle(picture, 2, 16))
    assert not warped[..., 1:].any()
    assert 0.2 < warped[..., 0].mean() < 0.8


def test_depth_uses_the_whole_range_without_the_stray_pixels() -> None:
    ramp = torch.linspace(0.4, 0.6, 100).repeat(100, 1)
    ramp[0, 0], ramp[0, 1] = 0.0, 1.0
    picture = Image(ramp[None, ..., None].repeat(1, 1, 1, 3))
    near = nodes.depth(picture)[0, 50, :, 0]
    assert (near[0], near[-1]) == (0, 1)
    assert near[50].item() == pytest.approx(0.5, abs=0.02)
    assert torch.allclose(nodes.depth(picture, True)[0, 50, :, 0], 1 - near)


def test_normals_of_planes_and_of_a_ball_are_right() -> None:
    axis = torch.linspace(-1, 1, 101)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    height = (0.81 - x**2 - y**2).clamp(min=0).sqrt() / 0.9
    # a ball of 45 pixels radius: the depth range of 1 measures 45 pixels
    colours = controls.normals(height[None], 0.45, 0.0)[0]
    vectors = colours * 2 - 1
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(101, 101), atol=1e-5)
    inside = (x**2 + y**2) < 0.4
    expected = torch.stack([x, -y, (0.81 - x**2 - y**2).clamp(min=0).sqrt()], dim=-1) / 0.9
    assert (vectors - expected)[inside].abs().max() < 0.02
    outside = (x**2 + y**2) > 0.9
    assert torch.allclose(colours[outside], torch.tensor([0.5, 0.5, 1.0]))
