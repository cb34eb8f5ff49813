"""Each format's change of a weight equals the formula of its paper, written a second time in numpy and float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.models.adapters.building import changes_of
from engine.models.adapters.reading import AdapterError

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
OUT, IN, RANK = 16, 12, 2
LINEAR, CONV = (OUT, IN), (OUT, IN, 3, 3)
BOTH = pytest.mark.parametrize("shape", [LINEAR, CONV])
STRENGTHS = pytest.mark.parametrize("strength", [1.0, 0.3, -1.5])


class Numbers:
    """Random arrays."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Array:
        return self.generator.standard_normal(shape) * 0.5


def changed(weight: Array, strength: float, parts: dict[str, Any]) -> Array:
    """The weight as the engine changes it."""
    tensors = {name: torch.as_tensor(part) for name, part in parts.items()}
    ((leaf, change),) = changes_of(tensors, {"weight": weight.shape, "bias": (OUT,)}, "here")
    assert leaf == "weight"
    result: Array = change.applied(torch.from_numpy(weight), strength).numpy()
    assert result.dtype == np.float64
    return result


def close(one: Array, other: Array) -> bool:
    return bool(np.abs(one - other).max() < 1e-12)


def cayley(block: Array) -> Array:
    q = block - block.T
    one = np.eye(len(q))
    return (one + q) @ np.linalg.inv(one - q)  # type: ignore[no-any-return]


@BOTH
@STRENGTHS
def test_lora_adds_up_times_down_by_alpha_over_rank(shape: tuple[int, ...], strength: float) -> None:
    new = Numbers()
    weight, down, up = new(*shape), new(RANK, *shape[1:]), new(OUT, RANK, *[1] * (len(shape) - 2))
    delta = (up.reshape(OUT, RANK) @ down.reshape(RANK, -1)).reshape(shape) * (3.0 / RANK)
    got = changed(weight, strength, {"up": up, "down": down, "alpha": 3.0})
    assert close(got, weight + strength * delta)


def test_a_missing_alpha_is_the_rank() -> None:
    new = Numbers()
    weight, down, up = new(*LINEAR), new(RANK, IN), new(OUT, RANK)
    assert close(changed(weight, 1.0, {"up": up, "down": down}), weight + up @ down)


@STRENGTHS
def test_locon_with_a_middle_is_three_convolutions_in_a_row(strength: float) -> None:
    new = Numbers()
    weight, down, mid, up = new(*CONV), new(RANK, IN, 1, 1), new(3, RANK, 3, 3), new(OUT, 3, 1, 1)
    delta = np.zeros(CONV)
    for o, i in np.ndindex(OUT, IN):
        for a, b in np.ndindex(3, RANK):
            delta[o, i] += up[o, a, 0, 0] * mid[a, b] * down[b, i, 0, 0]
    got = changed(weight, strength, {"up": up, "down": down, "mid": mid, "alpha": 1.0})
    assert close(got, weight + strength * delta / RANK)


@BOTH
@STRENGTHS
def test_loha_adds_the_product_in_each_place_of_two_low_ranks(shape: tuple[int, ...], strength: float) -> None:
    new = Numbers()
    weight, size = new(*shape), int(np.prod(shape[1:]))
    a1, b1, a2, b2 = new(OUT, RANK), new(RANK, size), new(OUT, RANK), new(RANK, size)
    delta = ((a1 @ b1) * (a2 @ b2)).reshape(shape) * (4.0 / RANK)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": 4.0}
    assert close(changed(weight, strength, parts), weight + strength * delta)


def test_loha_with_cores_is_tuckers_form() -> None:
    new = Numbers()
    weight = new(*CONV)
    factors = [(new(RANK, RANK, 3, 3), new(RANK, OUT), new(RANK, IN)) for _ in range(2)]
    whole = [np.zeros(CONV), np.zeros(CONV)]
    for total, (core, a, b) in zip(whole, factors, strict=True):
        for p, r, i, j in np.ndindex(OUT, IN, RANK, RANK):
            total[p, r] += core[i, j] * a[i, p] * b[j, r]
    parts = {}
    for number, (core, a, b) in enumerate(factors, start=1):
        parts |= {f"hada_t{number}": core, f"hada_w{number}_a": a, f"hada_w{number}_b": b}
    assert close(changed(weight, 1.0, parts), weight + whole[0] * whole[1])


@STRENGTHS
def test_lokr_adds_a_kronecker_product(strength: float) -> None:
    new = Numbers()
    weight, first, a, b = new(*LINEAR), new(4, 3), new(4, RANK), new(RANK, 4)
    parts = {"lokr_w1": first, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": 5.0}
    delta = np.kron(first, a @ b) * (5.0 / RANK)
    assert close(changed(weight, strength, parts), weight + strength * delta)


def test_lokr_of_two_whole_matrices_has_no_rank_to_divide_by() -> None:
    new = Numbers()
    weight, first, second = new(*LINEAR), new(4, 3), new(4, 4)
    got = changed(weight, 1.0, {"lokr_w1": first, "lokr_w2": second, "alpha": 7.0})
    assert close(got, weight + np.kron(first, second))


def test_lokr_of_a_convolution_spans_the_kernel_with_its_second_factor() -> None:
    new = Numbers()
    weight, a1, b1, a2, b2 = new(*CONV), new(4, RANK), new(RANK, 3), new(4, RANK), new(RANK, 4, 3, 3)
    first, second = a1 @ b1, (a2 @ b2.reshape(RANK, -1)).reshape(4, 4, 3, 3)
    delta = np.stack([np.kron(first, second[..., y, x]) for y, x in np.ndindex(3, 3)], -1).reshape(CONV)
    parts = {"lokr_w1_a": a1, "lokr_w1_b": b1, "lokr_w2_a": a2, "lokr_w2_b": b2}
    assert close(changed(weight, 1.0, parts), weight + delta)


def test_lokr_with_a_core_is_tuckers_form() -> None:
    new = Numbers()
    weight, first, a, b, core = new(*CONV), new(4, 3), new(RANK, 4), new(RANK, 4), new(RANK, RANK, 3, 3)
    second = np.zeros((4, 4, 3, 3))
    for p, r, i, j in np.ndindex(4, 4, RANK, RANK):
        second[p, r] += core[i, j] * a[i, p] * b[j, r]
    delta = np.stack([np.kron(first, second[..., y, x]) for y, x in np.ndindex(3, 3)], -1).reshape(CONV)
    parts = {"lokr_w1": first, "lokr_w2_a": a, "lokr_w2_b": b, "lokr_t2": core}
    assert close(changed(weight, 1.0, parts), weight + delta)


@BOTH
@STRENGTHS
@pytest.mark.parametrize("on_input", [False, True])
def test_dora_gives_every_output_or_input_its_length(shape: tuple[int, ...], strength: float, on_input: bool) -> None:
    new = Numbers()
    weight, down, up = new(*shape), new(RANK, *shape[1:]), new(OUT, RANK)
    sum_ = weight + (up @ down.reshape(RANK, -1)).reshape(shape) * 2.0
    axis, count = (1, IN) if on_input else (0, OUT)
    lengths, dora = np.abs(new(count)) + 0.5, np.empty(shape)
    for number in range(count):
        own = np.take(sum_, number, axis)
        dora[(slice(None),) * axis + (number,)] = lengths[number] * own / np.sqrt((own**2).sum())
    sizes = (1, IN) if on_input else (OUT, 1)
    parts = {"up": up, "down": down, "alpha": 4.0, "dora_scale": lengths.reshape(*sizes, *[1] * (len(shape) - 2))}
    assert close(changed(weight, strength, parts), weight + strength * (dora - weight))


def test_the_magnitude_of_peft_is_for_outputs() -> None:
    new = Numbers()
    weight, down, up, lengths = new(*LINEAR), new(RANK, IN), new(OUT, RANK), np.abs(new(OUT))
    rows = weight + up @ down
    dora = rows * (lengths / np.linalg.norm(rows, axis=1))[:, None]
    assert close(changed(weight, 1.0, {"up": up, "down": down, "magnitude": lengths}), dora)


@BOTH
@STRENGTHS
def test_a_full_difference_is_added(shape: tuple[int, ...], strength: float) -> None:
    new = Numbers()
    weight, difference = new(*shape), new(*shape)
    assert close(changed(weight, strength, {"diff": difference}), weight + strength * difference)


def test_biases_and_norms_have_differences_too() -> None:
    new = Numbers()
    parts = {name: torch.from_numpy(new(OUT)) for name in ("w_norm", "b_norm")}
    found = changes_of(parts, {"weight": (OUT,), "bias": (OUT,)}, "here")
    start = torch.from_numpy(new(OUT))
    assert [leaf for leaf, _ in found] == ["weight", "bias"]
    for (_, change), name in zip(found, parts, strict=True):
        assert torch.equal(change.applied(start, 0.5), start + 0.5 * parts[name])


@BOTH
@STRENGTHS
@pytest.mark.parametrize("on_input", [False, True])
def test_ia3_scales_outputs_or_inputs(shape: tuple[int, ...], strength: float, on_input: bool) -> None:
    new = Numbers()
    weight, count = new(*shape), IN if on_input else OUT
    factor, expected = new(count), weight.copy()
    for number in range(count):
        expected[(slice(None),) * int(on_input) + (number,)] *= 1 + strength * factor[number]
    assert close(changed(weight, strength, {"weight": factor, "on_input": np.array(on_input)}), expected)


@BOTH
@STRENGTHS
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_oft_turns_blocks_of_outputs(shape: tuple[int, ...], strength: float, alpha: float) -> None:
    new = Numbers()
    weight, blocks, rescale = new(*shape), new(4, 4, 4), np.abs(new(OUT)) + 0.5
    q = blocks - blocks.transpose(0, 2, 1)
    norm = np.sqrt((q**2).sum())
    kept = blocks * min(1.0, alpha * OUT / norm) if alpha else blocks
    turned = np.concatenate(
        [cayley(block).T @ rows.reshape(4, -1) for block, rows in zip(kept, np.split(weight, 4), strict=True)]
    )
    turned = (turned * rescale[:, None]).reshape(shape)
    got = changed(weight, strength, {"oft_blocks": blocks, "rescale": rescale[:, None], "alpha": alpha})
    assert np.abs(got - (weight + strength * (turned - weight))).max() < 1e-7  # the norm has 1e-8 added


def test_a_rotation_keeps_the_lengths_of_columns() -> None:
    new = Numbers()
    weight, blocks = new(*LINEAR), new(4, 4, 4)
    got = changed(weight, 1.0, {"oft_blocks": blocks})
    assert np.allclose(np.linalg.norm(got, axis=0), np.linalg.norm(weight, axis=0))
    assert not np.allclose(got, weight)


@STRENGTHS
def test_boft_turns_outputs_that_lie_ever_further_apart(strength: float) -> None:
    new = Numbers()
    weight, blocks = new(*LINEAR), new(2, 4, 4, 4)
    expected = weight.copy()
    for stage in range(2):
        # block b of stage s mixes outputs whose numbers differ in one binary digit, beside those of its half
        order = np.arange(OUT).reshape(-1, 2, 2**stage * 2).transpose(0, 2, 1).reshape(4, 4)
        for block, rows in zip(blocks[stage], order, strict=True):
            turn = strength * cayley(block) + (1 - strength) * np.eye(4)
            expected[rows] = turn @ expected[rows]
    assert close(changed(weight, strength, {"oft_blocks": blocks}), expected)


@BOTH
@STRENGTHS
def test_glora_adds_the_weight_times_a_plus_b(shape: tuple[int, ...], strength: float) -> None:
    new = Numbers()
    weight, a1, a2 = new(*shape), new(IN, RANK), new(RANK, IN)
    b1, b2 = new(OUT, RANK), new(RANK, *shape[1:])
    own = np.moveaxis(np.tensordot(weight, a1 @ a2, axes=(1, 0)), -1, 1)
    delta = (own + (b1 @ b2.reshape(RANK, -1)).reshape(shape)) * (6.0 / RANK)
    parts = {"a1": a1, "a2": a2, "b1": b1, "b2": b2, "alpha": 6.0}
    assert close(changed(weight, strength, parts), weight + strength * delta)


def test_glora_of_the_first_files_has_its_pairs_the_other_way_round() -> None:
    new = Numbers()
    weight, a1, a2, b1, b2 = new(*LINEAR), new(IN, RANK), new(RANK, IN), new(OUT, RANK), new(RANK, IN)
    today = changed(weight, 1.0, {"a1": a1, "a2": a2, "b1": b1, "b2": b2, "alpha": 1.0})
    assert close(changed(weight, 1.0, {"a1": a2, "a2": a1, "b1": b2, "b2": b1, "alpha": 1.0}), today)


@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_another_model_is_reached_at_strength_1(strength: float) -> None:
    new = Numbers()
    weight, target = new(*LINEAR), new(*LINEAR)
    expected = (1 - strength) * weight + strength * target
    assert close(changed(weight, strength, {"target": target}), expected)


def misfits() -> dict[str, dict[str, Tensor]]:
    ones = torch.ones
    return {
        "rank": {"up": ones(OUT, 3), "down": ones(2, IN)},
        "inputs": {"up": ones(OUT, 2), "down": ones(2, IN + 1)},
        "outputs": {"up": ones(OUT + 1, 2), "down": ones(2, IN)},
        "kernel": {"up": ones(OUT, 2, 1, 1), "down": ones(2, IN, 3, 3)},
        "difference": {"diff": ones(OUT, IN + 1)},
        "loha": {
            "hada_w1_a": ones(OUT, 2),
            "hada_w1_b": ones(2, 5),
            "hada_w2_a": ones(OUT, 2),
            "hada_w2_b": ones(2, 5),
        },
        "lokr": {"lokr_w1": ones(3, 3), "lokr_w2": ones(4, 4)},
        "oft": {"oft_blocks": ones(3, 5, 5)},
        "boft": {"oft_blocks": ones(2, 3, 5, 5)},
        "ia3": {"weight": ones(OUT + 1), "on_input": torch.tensor(False)},
        "dora": {"up": ones(OUT, 2), "down": ones(2, IN), "dora_scale": ones(OUT + 1, 1)},
        "glora": {"a1": ones(5, 2), "a2": ones(2, IN), "b1": ones(OUT, 2), "b2": ones(2, IN)},
    }


@pytest.mark.parametrize("name", misfits())
def test_parts_of_another_shape_are_refused_with_the_shapes(name: str) -> None:
    with pytest.raises(
        AdapterError, match=r"here: this adapter does not fit.*change of a weight \(16, 12\), got \w+ \("
    ):
        changes_of(misfits()[name], {"weight": LINEAR}, "here")


def test_an_incomplete_entry_is_refused_by_what_it_lacks() -> None:
    with pytest.raises(AdapterError, match="here: an adapter is incomplete: expected the tensor down, got only up"):
        changes_of({"up": torch.ones(OUT, 2)}, {"weight": LINEAR}, "here")
    with pytest.raises(AdapterError, match="incomplete: got only down"):
        changes_of({"down": torch.ones(2, IN)}, {"weight": LINEAR}, "here")


def test_a_bias_that_the_net_does_not_have_is_refused() -> None:
    with pytest.raises(AdapterError, match="expected a module with a bias"):
        changes_of({"diff_b": torch.ones(OUT)}, {"weight": LINEAR}, "here")
