"""Picture nodes, against Pillow, kornia and formulas in plain numpy."""

from __future__ import annotations

from typing import Any

import kornia
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL import ImageChops

from engine.tensors.blending import COMPOSITIONS
from engine.tensors.filters import bayer_matrix
from engine.tensors.images import ImageError
from engine.tensors.values import Image, Mask
from nodes import compositing, image_batch, image_filters, resize
from nodes import image_transform as transform


def random(*shape: int, seed: int = 0) -> Image:
    return Image(torch.rand(*shape, generator=torch.Generator().manual_seed(seed)))


def pillow(picture: torch.Tensor) -> Pillow.Image:
    return Pillow.fromarray((picture * 255).round().to(torch.uint8).numpy())


def test_an_empty_picture_has_a_colour() -> None:
    picture = image_batch.empty_image(3, 2, 4, 0xFF8000)
    assert picture.shape == (4, 2, 3, 3)
    assert picture[3, 1, 2].tolist() == pytest.approx([1.0, 128 / 255, 0.0])
    assert image_batch.image_size(picture) == (3, 2, 4)


def test_pictures_of_other_sizes_and_channels_join_a_batch() -> None:
    first, second = random(1, 4, 6, 3), random(2, 8, 8, 4, seed=1)
    both = image_batch.batch_two_images(first, second)
    assert both.shape == (3, 4, 6, 4)
    assert torch.equal(both[0, ..., :3], first[0])
    assert both[0, ..., 3].eq(1).all()
    assert torch.equal(image_batch.batch_images([first, second]), both)
    assert image_batch.batch_images([random(1, 2, 2, 1), first]).shape == (2, 2, 2, 3)


def test_noise_is_the_same_for_the_same_seed() -> None:
    grey = Image(torch.full((1, 64, 64, 3), 0.5))
    noisy = image_batch.add_noise(grey, 7, 0.1)
    assert torch.equal(noisy, image_batch.add_noise(grey, 7, 0.1))
    assert not torch.equal(noisy, image_batch.add_noise(grey, 8, 0.1))
    assert noisy.std().item() == pytest.approx(0.1, rel=0.03)
    assert torch.equal(image_batch.add_noise(grey, 7, 0.0), grey)


@pytest.mark.parametrize(("index", "length", "rows"), [(0, 1, [0]), (1, 9, [1, 2]), (7, 1, [2])])
def test_some_of_a_batch_and_beyond_its_end_the_last(index: int, length: int, rows: list[int]) -> None:
    batch = random(3, 2, 2, 3)
    assert torch.equal(image_batch.image_from_batch(batch, index, length), batch[rows])


def test_batches_are_repeated_and_laid_out_anew() -> None:
    batch = random(3, 2, 2, 3)
    assert torch.equal(image_batch.repeat_images(batch, 2), torch.cat([batch, batch]))
    groups = image_batch.rebatch_images([batch, random(1, 4, 4, 3), batch], 2)
    assert [tuple(group.shape[:2]) for group in groups] == [(2, 2), (1, 2), (1, 4), (2, 2), (1, 2)]
    assert torch.equal(torch.cat(groups[:2]), batch)


def test_colours_split_into_brightness_and_hue_come_back() -> None:
    picture = random(2, 3, 4, 3)
    y, u, v = image_batch.rgb_to_yuv(picture)
    luma = picture @ torch.tensor([0.299, 0.587, 0.114])
    assert torch.allclose(y[..., 0], luma, atol=1e-6)
    assert torch.allclose(u[..., 1], (picture[..., 2] - luma) * 0.564 + 0.5, atol=1e-3)
    assert torch.allclose(image_batch.yuv_to_rgb(y, u, v), picture, atol=5e-3)


def test_a_box_is_cut_at_the_edges() -> None:
    picture = random(1, 6, 8, 3)
    assert torch.equal(transform.crop_image(picture, 3, 2, 4, 1), picture[:, 1:3, 4:7])
    assert transform.crop_image(picture, 512, 512, 6, 5).shape == (1, 1, 2, 3)
    assert torch.equal(transform.crop_image(picture, 9, 9, 100, 100), picture[:, -1:, -1:])


@pytest.mark.parametrize(
    ("rotation", "turn"),
    [
        ("90 degrees", Pillow.Transpose.ROTATE_270),
        ("180 degrees", Pillow.Transpose.ROTATE_180),
        ("270 degrees", Pillow.Transpose.ROTATE_90),
    ],
)
def test_pictures_turn_clockwise(rotation: str, turn: Pillow.Transpose) -> None:
    picture = random(2, 3, 5, 3)
    turned = transform.rotate_image(picture, rotation)
    assert np.array_equal(np.asarray(pillow(turned[1])), np.asarray(pillow(picture[1]).transpose(turn)))
    assert torch.equal(transform.rotate_image(picture, "none"), picture)


def test_pictures_flip() -> None:
    picture = random(1, 3, 5, 3)
    assert torch.equal(transform.flip_image(picture, "x-axis: vertically")[0, 0], picture[0, -1])
    assert torch.equal(transform.flip_image(picture, "y-axis: horizontally")[0, :, 0], picture[0, :, -1])


@pytest.mark.parametrize(
    ("direction", "size"), [("right", (4, 6 + 4 + 2)), ("left", (4, 12)), ("down", (4 + 6 + 2, 6)), ("up", (12, 6))]
)
def test_a_stitched_picture_is_scaled_to_the_shared_side(direction: str, size: tuple[int, int]) -> None:
    first, second = random(1, 4, 6, 3), Image(torch.full((2, 8, 8, 3), 0.5))
    stitched = transform.stitch_images(first, direction, True, 1, "red", second)
    assert stitched.shape == (2, *size, 3)
    place = {"right": (0, 0), "left": (0, 6), "down": (0, 0), "up": (8, 0)}[direction]
    assert torch.equal(stitched[1, place[0] : place[0] + 4, place[1] : place[1] + 6], first[0])
    red = (stitched == torch.tensor([1.0, 0.0, 0.0])).all(dim=-1)
    assert red[0].sum() == 2 * (4 if direction in ("right", "left") else 6)


def test_an_unscaled_stitched_picture_is_centred_on_black() -> None:
    stitched = transform.stitch_images(
        Image(torch.ones(1, 6, 2, 3)), "right", False, 0, "white", Image(torch.ones(1, 2, 2, 4))
    )
    assert stitched.shape == (1, 6, 4, 4)
    assert stitched[0, :, 2, 0].tolist() == [0, 0, 1, 1, 0, 0]
    assert torch.equal(transform.stitch_images(Image(stitched)), stitched)


def test_a_picture_is_fitted_into_a_size_and_padded() -> None:
    picture = Image(torch.full((1, 10, 20, 3), 0.25))
    fitted = transform.resize_and_pad(picture, 16, 16, padding_color="white", interpolation="area")
    assert fitted.shape == (1, 16, 16, 3)
    assert fitted[0, :, 0, 0].tolist() == [1.0] * 4 + [0.25] * 8 + [1.0] * 4
    tall = transform.resize_and_pad(picture, 40, 16, padding_color="black", interpolation="lanczos")
    assert tall[0, 8, :, 0].gt(0).sum() == 32


def test_outpainting_pads_with_grey_and_feathers_into_the_picture() -> None:
    picture = random(2, 100, 120, 3)
    padded, mask = transform.pad_for_outpaint(picture, 8, 0, 0, 16, 40)
    assert padded.shape == (2, 116, 128, 3)
    assert torch.equal(padded[:, :100, 8:], picture)
    assert padded[:, :, :8].eq(0.5).all()
    assert mask.shape == (1, 116, 128)
    assert mask[0, 100:].eq(1).all()
    expected = [
        ((40 - min(x, 100 - y)) / 40) ** 2 if min(x, 100 - y) < 40 else 0.0 for x, y in ((0, 3), (9, 80), (60, 50))
    ]
    assert [mask[0, y, 8 + x].item() for x, y in ((0, 3), (9, 80), (60, 50))] == pytest.approx(expected)
    _, small = transform.pad_for_outpaint(Image(picture[:, :80]), left=8, feathering=40)
    assert small[0, :, 8:].eq(0).all()


@pytest.mark.parametrize(("megapixels", "steps", "size"), [(0.25, 1, (362, 724)), (0.25, 64, (384, 704))])
def test_a_picture_is_scaled_to_an_area(megapixels: float, steps: int, size: tuple[int, int]) -> None:
    scaled = transform.scale_to_total_pixels(random(1, 50, 100, 3), "nearest-exact", megapixels, steps)
    assert scaled.shape[1:3] == size


@pytest.mark.parametrize(("largest", "size"), [(50, (25, 50)), (0, (50, 100)), (1, (1, 1))])
def test_a_picture_is_scaled_by_its_longer_side(largest: int, size: tuple[int, int]) -> None:
    assert transform.scale_to_max_dimension(random(1, 50, 100, 3), "area", largest).shape[1:3] == size


@pytest.mark.parametrize(
    ("mode", "reference"),
    [
        ("multiply", ImageChops.multiply),
        ("screen", ImageChops.screen),
        ("overlay", ImageChops.overlay),
        ("difference", ImageChops.subtract),
        ("normal", lambda _a, b: b),
    ],
)
def test_blend_modes_are_those_of_pillow(mode: str, reference: Any) -> None:
    a, b = random(1, 16, 16, 3), random(1, 16, 16, 3, seed=1)
    expected = np.asarray(reference(pillow(a[0]), pillow(b[0])), dtype=np.float32) / 255
    blended = compositing.blend_images(a, b, 1.0, blend_mode=mode)
    assert np.abs(blended[0].numpy() - expected).max() < 2.5 / 255


def test_soft_light_is_the_formula_of_the_w3c() -> None:
    def soft_light(ground: float, light: float) -> float:
        if light <= 0.5:
            return ground - (1 - 2 * light) * ground * (1 - ground)
        curve = ((16 * ground - 12) * ground + 4) * ground if ground <= 0.25 else ground**0.5
        return ground + (2 * light - 1) * (curve - ground)

    grid = torch.linspace(0, 1, 11)
    a, b = grid.repeat(11, 1)[None, ..., None].expand(1, 11, 11, 3), grid[:, None].expand(11, 11)[None, ..., None]
    blended = compositing.blend_images(Image(a), Image(b.expand(1, 11, 11, 3)), 1.0, blend_mode="soft_light")
    expected = [[soft_light(x.item(), y.item()) for x in grid] for y in grid]
    assert np.allclose(blended[0, ..., 0].numpy(), expected, atol=1e-6)


def test_blending_mixes_by_the_factor_and_fits_sizes_and_batches() -> None:
    white, black = Image(torch.ones(1, 4, 4, 3)), Image(torch.zeros(3, 9, 5, 4))
    mixed = compositing.blend_images(white, black, 0.25, blend_mode="normal")
    assert mixed.shape == (3, 4, 4, 4)
    assert mixed[..., :3].eq(0.75).all()


def porter_duff(mode: str, s: float, sa: float, d: float, da: float) -> tuple[float, float]:
    """Premultiplied colour and alpha by the tables of Porter and Duff (1984) and of PDF blend modes."""
    fractions = {
        "CLEAR": (0, 0),
        "SRC": (1, 0),
        "DST": (0, 1),
        "SRC_OVER": (1, 1 - sa),
        "DST_OVER": (1 - da, 1),
        "SRC_IN": (da, 0),
        "DST_IN": (0, sa),
        "SRC_OUT": (1 - da, 0),
        "DST_OUT": (0, 1 - sa),
        "SRC_ATOP": (da, 1 - sa),
        "DST_ATOP": (1 - da, sa),
        "XOR": (1 - da, 1 - sa),
    }
    if mode in fractions:
        fs, fd = fractions[mode]
        return s * sa * fs + d * da * fd, sa * fs + da * fd
    if mode == "ADD":
        return min(1, s * sa + d * da), min(1, sa + da)
    if mode == "MULTIPLY":
        return s * sa * d * da, sa * da
    both = {
        "DARKEN": min(s * sa * da, d * da * sa) / (sa * da),
        "LIGHTEN": max(s, d),
        "SCREEN": s + d - s * d,
        "OVERLAY": 2 * s * d if 2 * d < 1 else 1 - 2 * (1 - d) * (1 - s),
    }
    blend = both[mode]
    if mode in ("DARKEN", "LIGHTEN"):
        pick = min if mode == "DARKEN" else max
        return (1 - da) * s * sa + (1 - sa) * d * da + pick(s * sa, d * da), sa + da - sa * da
    if mode == "OVERLAY":
        return sa * da * blend, sa + da - sa * da
    return s * sa + d * da - s * sa * d * da, sa + da - sa * da


@pytest.mark.parametrize("mode", COMPOSITIONS)
@pytest.mark.parametrize(("sa", "da"), [(1.0, 1.0), (0.5, 0.8)])
def test_pictures_are_composed_by_the_tables_of_the_paper(mode: str, sa: float, da: float) -> None:
    for s, d in ((0.2, 0.3), (0.9, 0.1), (0.4, 0.8)):
        colour, alpha = porter_duff(mode, s, sa, d, da)
        source, destination = (Image(torch.full((1, 2, 2, 3), value)) for value in (s, d))
        masks = [Mask(torch.full((1, 2, 2), 1 - value)) for value in (sa, da)]
        image, mask = compositing.porter_duff(source, masks[0], destination, masks[1], mode)
        assert 1 - mask.mean().item() == pytest.approx(alpha, abs=1e-6)
        expected = min(1.0, colour / alpha) if alpha else 0.0
        assert image.mean().item() == pytest.approx(expected, abs=1e-5)


def test_composing_fits_sizes_and_batches_and_refuses_other_channels() -> None:
    big, small = Image(torch.ones(2, 8, 8, 3)), Image(torch.zeros(1, 4, 4, 3))
    image, mask = compositing.porter_duff(big, Mask(torch.zeros(1, 2, 2)), small, Mask(torch.ones(3, 4, 4)), "SRC_OVER")
    assert (image.shape, mask.shape) == ((3, 4, 4, 3), (3, 4, 4))
    assert image.eq(1).all()
    with pytest.raises(ImageError, match=r"input source: .*expected 4 channels as in destination, got 3"):
        compositing.porter_duff(big, mask, Image(torch.zeros(1, 4, 4, 4)), mask)


def test_a_picture_is_pasted_where_the_mask_says() -> None:
    ground, stamp = Image(torch.zeros(2, 6, 6, 3)), Image(torch.ones(1, 4, 4, 3))
    whole = compositing.composite_masked(ground, stamp, 4, 3)
    assert whole.sum() == 2 * 3 * 2 * 3
    half = compositing.composite_masked(ground, stamp, 0, 0, False, Mask(torch.tensor([[1.0, 1.0], [0.0, 0.0]])))
    assert half[1, 0, :4, 0].eq(1).all()
    assert half[:, 3:].eq(0).all()
    assert compositing.composite_masked(ground, stamp, 0, 0, True).eq(1).all()
    assert compositing.composite_masked(Image(torch.zeros(1, 6, 6, 4)), stamp).shape[-1] == 4
    with pytest.raises(ImageError, match="expected a corner within 6 x 6 pixels, got 6, 0"):
        compositing.composite_masked(ground, stamp, 6, 0)


def gaussian(radius: int, sigma: float) -> torch.Tensor:
    axis = torch.linspace(-1, 1, 2 * radius + 1, dtype=torch.float64)
    bell = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = bell[:, None] * bell
    return kernel / kernel.sum()


@pytest.mark.parametrize(("radius", "sigma"), [(1, 1.0), (3, 0.5), (5, 10.0)])
def test_blur_and_sharpening_are_convolutions(radius: int, sigma: float) -> None:
    picture = random(1, 12, 14, 3)
    planes = torch.nn.functional.pad(picture.double().movedim(-1, 1), (radius,) * 4, mode="reflect")
    kernel = gaussian(radius, sigma)
    expected = torch.nn.functional.conv2d(planes.movedim(0, 1), kernel[None, None]).movedim(0, -1)
    assert torch.allclose(image_filters.blur_image(picture, radius, sigma)[0].double(), expected[0], atol=1e-6)
    sharp = -10 * 0.5 * kernel
    sharp[radius, radius] += 1 + 10 * 0.5
    expected = torch.nn.functional.conv2d(planes.movedim(0, 1), sharp[None, None]).movedim(0, -1).clamp(0, 1)
    sharpened = image_filters.sharpen_image(picture, radius, sigma, 0.5)
    assert torch.allclose(sharpened[0].double(), expected[0], atol=1e-5)


def test_a_picture_smaller_than_the_radius_is_blurred_all_the_same() -> None:
    assert image_filters.blur_image(Image(torch.ones(1, 1, 1, 3)), 31, 1.0).shape == (1, 1, 1, 3)


@pytest.mark.parametrize("size", [3, 4, 7])
@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("erode", "erosion"),
        ("dilate", "dilation"),
        ("open", "opening"),
        ("close", "closing"),
        ("gradient", "gradient"),
        ("bottom_hat", "bottom_hat"),
        ("top_hat", "top_hat"),
    ],
)
def test_morphology_is_that_of_kornia(operation: str, name: str, size: int) -> None:
    picture = random(2, 9, 11, 3)
    expected = getattr(kornia.morphology, name)(picture.movedim(-1, 1), torch.ones(size, size)).movedim(1, -1)
    assert torch.equal(image_filters.morphology(picture, operation, size), expected)
    assert image_filters.morphology(picture, operation, 999).shape == picture.shape


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"])
def test_few_colours_stay_few(dither: str) -> None:
    ramp = torch.linspace(0, 1, 32).expand(24, 32)[None, ..., None].expand(2, 24, 32, 3)
    reduced = image_filters.quantize_image(Image(ramp), 4, dither=dither)
    assert reduced.shape == (2, 24, 32, 3)
    assert len(reduced[0].reshape(-1, 3).unique(dim=0)) <= 4
    assert (reduced.mean() - ramp.mean()).abs() < 0.03
    if dither == "none":
        palette = pillow(ramp[0]).quantize(4, dither=Pillow.Dither.NONE).convert("RGB")
        assert np.array_equal(np.asarray(pillow(reduced[0])), np.asarray(palette))


def test_the_ordered_pattern_is_that_of_bayer() -> None:
    thresholds = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]
    assert (bayer_matrix(4) * 16 + 7.5).tolist() == thresholds


@pytest.mark.parametrize(
    ("how", "size"),
    [
        (resize.Multiplier(0.5), (4, 8)),
        (resize.Dimensions(6, 0), (3, 6)),
        (resize.Dimensions(0, 0), (8, 16)),
        (resize.Dimensions(5, 7, "disabled"), (7, 5)),
        (resize.LongerSide(4), (2, 4)),
        (resize.ShorterSide(4), (4, 8)),
        (resize.Width(0), (8, 16)),
        (resize.Width(1), (1, 1)),
        (resize.Height(16), (16, 32)),
        (resize.TotalPixels(0.01), (72, 145)),
        (resize.Like(torch.zeros(2, 3, 5)), (3, 5)),
        (resize.Like(torch.zeros(1, 9, 2, 3)), (9, 2)),
    ],
)
def test_pictures_and_masks_are_resized_by_every_rule(how: Any, size: tuple[int, int]) -> None:
    assert resize.resize_image_or_mask(random(2, 8, 16, 3), how).shape == (2, *size, 3)
    assert resize.resize_image_or_mask(random(2, 8, 16), how, "lanczos").shape == (2, *size)


def test_a_mask_is_cut_to_new_proportions_about_the_centre() -> None:
    mask = torch.zeros(1, 4, 8)
    mask[:, :, 2:6] = 1
    assert resize.resize_image_or_mask(mask, resize.Dimensions(2, 2)).eq(1).all()
    assert resize.resize_image_or_mask(mask, resize.Dimensions(2, 2, "disabled")).eq(0.5).all()
