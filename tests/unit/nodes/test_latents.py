"""Latents added, batched, cropped, pasted and filtered: closed forms, identities, masks and places."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.tensors.latents import LatentError
from engine.tensors.noise import initial_noise
from engine.tensors.values import Latent, Mask
from nodes.latent import empty_latent, empty_sd3_latent
from nodes.latent_batch import (
    batch_latents,
    latent_from_batch,
    rebatch_latents,
    repeat_latents,
    set_batch_noise,
)
from nodes.latent_composite import composite, composite_masked
from nodes.latent_math import add_latents, blend_latents, interpolate_latents, multiply_latent, subtract_latents
from nodes.latent_operations import apply_operation, sharpen_operation, tone_map
from nodes.latent_transform import (
    concat_latents,
    crop_latent,
    cut_latent,
    cut_latent_to_batch,
    flip_latent,
    rotate_latent,
)


def latent(
    batch: int = 1, height: int = 16, width: int = 16, channels: int = 4, seed: int = 0, **facts: object
) -> Latent:
    generator = torch.Generator().manual_seed(seed)
    return Latent(torch.randn(batch, channels, height, width, generator=generator), **facts)  # type: ignore[arg-type]


def flat(value: float, batch: int = 1, size: int = 16) -> Latent:
    return Latent(torch.full((batch, 4, size, size), float(value)))


def test_sums_differences_and_multiples() -> None:
    first, second = latent(2), latent(2, seed=1)
    assert torch.equal(add_latents(first, second).samples, first.samples + second.samples)
    assert torch.equal(subtract_latents(first, second).samples, first.samples - second.samples)
    assert torch.equal(multiply_latent(first, -2.0).samples, first.samples * -2)


def test_the_second_is_brought_to_the_size_and_batch_of_the_first() -> None:
    assert torch.allclose(add_latents(flat(1, 3), flat(2, 2, size=9)).samples, torch.full((3, 4, 16, 16), 3.0))


@pytest.mark.parametrize("mix", [add_latents, subtract_latents, interpolate_latents, blend_latents, batch_latents])
def test_latents_of_two_models_are_refused_by_name(mix: object) -> None:
    with pytest.raises(LatentError, match=r"samples2.*expected 4 channels.*16, 16, 16"):
        mix(latent(), latent(channels=16))  # type: ignore[operator]


@pytest.mark.parametrize("mix", [interpolate_latents, blend_latents])
def test_the_ends_of_a_mixture_are_what_is_mixed(mix: object) -> None:
    first, second = latent(), latent(seed=1)
    assert torch.allclose(mix(first, second, 1.0).samples, first.samples, atol=1e-6)  # type: ignore[operator]
    assert torch.allclose(mix(first, second, 0.0).samples, second.samples, atol=1e-6)  # type: ignore[operator]


def test_interpolation_keeps_lengths_between_and_zero_without_direction() -> None:
    first, second = latent(), latent(seed=1)
    lengths = interpolate_latents(first, second, 0.3).samples.norm(dim=1)
    assert torch.allclose(lengths, 0.3 * first.samples.norm(dim=1) + 0.7 * second.samples.norm(dim=1), atol=1e-5)
    assert not interpolate_latents(flat(0), flat(0), 0.5).samples.any()


def test_blending_is_linear() -> None:
    assert torch.allclose(blend_latents(flat(4), flat(0), 0.25).samples, torch.ones(1, 4, 16, 16))


def test_a_mixture_of_blanks_is_blank_and_one_with_a_picture_is_not() -> None:
    blank = empty_latent(128, 128)
    assert add_latents(blank, blank).empty
    assert not add_latents(blank, latent()).empty
    assert not composite(blank, latent(height=4, width=4)).empty


def test_a_blank_canvas_of_sixteen_channels() -> None:
    assert empty_sd3_latent(64, 32, 2).samples.shape == (2, 16, 4, 8)


def test_a_batch_keeps_each_ones_place() -> None:
    joined = batch_latents(latent(2, batch_index=(5, 7)), latent(1, 8, 8))
    assert joined.samples.shape == (3, 4, 16, 16)
    assert joined.batch_index == (5, 7, 0)


def test_a_batch_keeps_each_ones_mask_and_repaints_those_without() -> None:
    masked = latent(noise_mask=torch.zeros(1, 128, 128))
    joined = batch_latents(masked, latent(2))
    assert joined.noise_mask is not None
    assert joined.noise_mask.mean(dim=(1, 2)).tolist() == [0.0, 1.0, 1.0]


def test_a_sample_from_a_batch_has_the_noise_it_had_there() -> None:
    part = latent_from_batch(latent(4), 2, 2)
    whole = initial_noise((4, 4, 16, 16), 3, (0, 1, 2, 3))
    assert part.batch_index == (2, 3)
    assert torch.equal(initial_noise(part.samples.shape, 3, part.batch_index), whole[2:])


@pytest.mark.parametrize(("index", "length", "index_got"), [(1, 64, (1, 2)), (63, 2, (2,)), (0, 1, (0,))])
def test_what_lies_beyond_a_batch_is_cut(index: int, length: int, index_got: tuple[int, ...]) -> None:
    assert latent_from_batch(latent(3), index, length).batch_index == index_got


def test_a_part_of_a_part_keeps_its_first_place_and_mask() -> None:
    masks = torch.arange(4.0)[:, None, None].expand(4, 2, 2) / 4
    part = latent_from_batch(latent_from_batch(latent(4, noise_mask=masks), 1, 3), 1, 1)
    assert part.batch_index == (2,)
    assert part.noise_mask is not None
    assert part.noise_mask.unique().tolist() == [0.5]


def test_a_repeated_batch_gets_places_of_its_own() -> None:
    masks = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)])
    again = repeat_latents(latent(2, batch_index=(3, 4), noise_mask=masks), 3)
    assert again.batch_index == (3, 4, 5, 6, 7, 8)
    assert torch.equal(again.samples, latent(2).samples.repeat(3, 1, 1, 1))
    assert again.noise_mask is not None
    assert again.noise_mask.mean(dim=(1, 2)).tolist() == [0.0, 1.0] * 3
    assert repeat_latents(latent(), 1).batch_index is None


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 6))
def test_rebatching_keeps_every_sample_in_order(sizes: list[int], size: int) -> None:
    parts = [latent(count, 2, 2, seed=seed) for seed, count in enumerate(sizes)]
    batches = rebatch_latents(parts, size)
    assert torch.equal(torch.cat([b.samples for b in batches]), torch.cat([p.samples for p in parts]))
    assert [place for b in batches for place in b.batch_index or ()] == list(range(sum(sizes)))
    assert all(len(batch.samples) == size for batch in batches[:-1])


def test_other_sizes_begin_a_batch_of_their_own() -> None:
    batches = rebatch_latents([latent(1), latent(1, 8), latent(2, 8)], 8)
    assert [tuple(batch.samples.shape) for batch in batches] == [(1, 4, 16, 16), (3, 4, 8, 16)]


def test_fixed_noise_is_that_of_the_first() -> None:
    fixed = set_batch_noise(latent(3, batch_index=(4, 5, 6)), "fixed")
    assert fixed.batch_index == (4, 4, 4)
    assert set_batch_noise(fixed, "random").batch_index is None


def test_cropping_takes_a_box_of_samples_and_mask() -> None:
    whole = latent(noise_mask=torch.eye(16)[None])
    part = crop_latent(whole, 64, 80, 8, 16)
    assert torch.equal(part.samples, whole.samples[..., 2:12, 1:9])
    assert part.noise_mask is not None
    assert torch.equal(part.noise_mask, torch.eye(16)[None, 2:12, 1:9])
    assert crop_latent(whole, 512, 512, 120, 0).samples.shape == (1, 4, 16, 1)
    assert torch.equal(crop_latent(whole, 128, 128).samples, whole.samples)


def test_a_box_outside_the_picture_is_refused() -> None:
    with pytest.raises(LatentError, match=r"inputs x and y.*within 128 x 128 pixels.*got 128, 0"):
        crop_latent(latent(), 64, 64, 128, 0)


def test_flips_and_turns_undo_themselves() -> None:
    whole = latent(height=4, noise_mask=torch.rand(1, 4, 16))
    for method in ("x-axis: vertically", "y-axis: horizontally"):
        assert torch.equal(flip_latent(flip_latent(whole, method), method).samples, whole.samples)
    assert torch.equal(flip_latent(whole, "x-axis: vertically").samples, whole.samples.flip(2))
    turned = rotate_latent(rotate_latent(whole, "90 degrees"), "270 degrees")
    assert torch.equal(turned.samples, whole.samples)
    assert torch.equal(turned.noise_mask, whole.noise_mask)  # type: ignore[arg-type]
    assert torch.equal(rotate_latent(whole, "none").samples, whole.samples)
    assert torch.equal(rotate_latent(whole, "180 degrees").samples, whole.samples.flip(2, 3))


def test_a_quarter_turn_is_clockwise() -> None:
    corner = torch.zeros(1, 4, 2, 3)
    corner[..., 0, 0] = 1
    turned = rotate_latent(Latent(corner), "90 degrees").samples
    assert turned.shape[-2:] == (3, 2)
    assert turned[0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize(("dim", "shape"), [("x", (2, 4, 16, 20)), ("-y", (2, 4, 32, 16)), ("t", (2, 8, 16, 16))])
def test_joining_along_a_side_and_cutting_apart_again(dim: str, shape: tuple[int, ...]) -> None:
    first, second = latent(2), latent(1, width=4 if dim == "x" else 16, seed=1)
    joined = concat_latents(first, second, dim)
    assert joined.samples.shape == shape
    axis = dim.removeprefix("-")
    own = {"x": 16, "y": 16, "t": 4}[axis]
    assert torch.equal(cut_latent(joined, axis, -own if dim.startswith("-") else 0, own).samples, first.samples)


def test_sides_that_do_not_fit_are_not_joined() -> None:
    with pytest.raises(LatentError, match=r"along x.*got 16 x 8"):
        concat_latents(latent(), latent(height=8), "x")


@pytest.mark.parametrize(
    ("index", "amount", "columns"),
    [(3, 2, (3, 5)), (99, 9, (15, 16)), (-3, 2, (13, 15)), (-99, 1, (0, 1)), (12, 9, (12, 16))],
)
def test_a_cut_ends_at_the_border(index: int, amount: int, columns: tuple[int, int]) -> None:
    whole = latent(noise_mask=torch.rand(1, 16, 16))
    part = cut_latent(whole, "x", index, amount)
    assert torch.equal(part.samples, whole.samples[..., slice(*columns)])
    assert torch.equal(part.noise_mask, whole.noise_mask[..., slice(*columns)])  # type: ignore[arg-type,index]


def test_slices_become_a_batch_and_a_rest_is_dropped() -> None:
    whole = latent(2, noise_mask=torch.rand(1, 16, 16))
    parts = cut_latent_to_batch(whole, "x", 5)
    assert parts.samples.shape == (6, 4, 16, 5)
    assert torch.equal(parts.samples[4], whole.samples[1, :, :, 5:10])
    assert parts.noise_mask is not None
    assert torch.equal(parts.noise_mask[4], whole.noise_mask[0, :, 5:10])  # type: ignore[index]
    assert torch.equal(cut_latent_to_batch(whole, "y", 99).samples, whole.samples)
    channels = cut_latent_to_batch(whole, "t", 1)
    assert channels.samples.shape == (8, 1, 16, 16)
    assert channels.noise_mask is not None
    assert len(channels.noise_mask) == 8


def test_pasting_replaces_a_box_and_is_cut_at_the_edge() -> None:
    pasted = composite(flat(0, 2), flat(1, size=8), x=96, y=8).samples
    expected = torch.zeros(2, 4, 16, 16)
    expected[..., 1:9, 12:] = 1
    assert torch.equal(pasted, expected)


def test_feathering_fades_edges_inside_the_canvas_only() -> None:
    row = composite(flat(0), flat(1, size=8), x=32, y=0, feather=32).samples[0, 0, 0]
    assert row.tolist() == [0] * 4 + [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25] + [0] * 4
    assert torch.equal(composite(flat(0), flat(1), feather=64).samples, flat(1).samples)


def test_pasting_by_a_mask_of_another_size() -> None:
    mask = torch.zeros(1, 64, 64)
    mask[..., 32:] = 1
    row = composite_masked(flat(0), flat(1, size=8), x=32, y=32, mask=Mask(mask)).samples[0, 0, 4]
    assert row[:7].abs().max() == 0
    assert row[9:12].tolist() == [1, 1, 1]
    assert torch.equal(composite_masked(flat(0), flat(1, size=3), resize_source=True).samples, flat(1).samples)


@pytest.mark.parametrize("paste", [composite, composite_masked])
def test_pasting_outside_the_picture_is_refused(paste: object) -> None:
    with pytest.raises(LatentError, match=r"outside the picture.*128 x 128.*got 0, 128"):
        paste(flat(0), flat(1), x=0, y=128)  # type: ignore[operator]


def lengths(samples: Tensor) -> Tensor:
    return samples.norm(dim=1)


def test_the_tone_map_keeps_directions_and_order_and_bounds_lengths() -> None:
    samples = latent(2).samples
    samples[0, :, 3, 3] *= 50
    mapped = apply_operation(Latent(samples), tone_map(1.0)).samples
    top = lengths(samples).mean(dim=(1, 2)) + 5 * lengths(samples).std(dim=(1, 2), correction=0)
    expected = lengths(samples) / (1 + lengths(samples) / top[:, None, None])
    assert torch.allclose(lengths(mapped), expected, rtol=1e-4)
    assert torch.allclose(mapped / lengths(mapped)[:, None], samples / lengths(samples)[:, None], atol=1e-5)
    assert not apply_operation(Latent(samples), tone_map(0.0)).samples.any()
    assert apply_operation(flat(0), tone_map(1.0)).samples.isfinite().all()


def test_sharpening_by_nothing_or_of_one_colour_changes_nothing() -> None:
    samples = latent()
    assert torch.equal(apply_operation(samples, sharpen_operation(9, 1.0, 0.0)).samples, samples.samples)
    assert torch.allclose(apply_operation(flat(2), sharpen_operation()).samples, flat(2).samples, atol=1e-5)


def test_sharpening_steepens_an_edge_even_in_a_picture_smaller_than_its_radius() -> None:
    edge = torch.ones(1, 4, 6, 6)
    edge[:, 1, :, 3:] = -1
    sharper = apply_operation(Latent(edge), sharpen_operation(31, 0.5, 0.2)).samples
    assert sharper[0, 1, 3, 2] > 1
    assert sharper[0, 1, 3, 3] < -1
    assert torch.equal(apply_operation(flat(1, size=1), sharpen_operation()).samples, flat(1, size=1).samples)
