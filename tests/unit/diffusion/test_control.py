"""Controls belong to prompts: they share calls of the net, follow areas, shares of the sampling, and budgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance, DualGuidance, estimates
from engine.memory.budget import CallBudget
from engine.models.control.reading import load_control
from engine.models.nets.denoising import row_bytes
from engine.models.nets.patches import Call, Patch
from engine.tensors.rows import Row, Rows
from engine.tensors.values import Area, Conditioning, Image
from nodes.control import apply_control, apply_control_advanced
from tests.oracles import control
from tests.unit.diffusion.nets import noise, prompt, twins

CPU = torch.device("cpu")
X = noise(2, 4, 16, 16, seed=2)
POSITIVE, NEGATIVE = prompt(3), prompt(4)
SIGMA = 1.0


class Steered:
    """A denoiser, a ControlNet for it, and what is asked of either."""

    def __init__(self, path: Path) -> None:
        self.denoiser, unet = twins()
        state = control.controlnet_state(control.controlnet(unet, hint=(16, 16, 32, 32)))
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path / "net.safetensors")
        self.model: Any = load_control(path / "net.safetensors", CPU)
        self.unet_calls: list[int] = []
        self.net_calls: list[int] = []
        self.hints: list[tuple[int, ...]] = []
        self.denoiser.net._net.register_forward_pre_hook(lambda _, inputs: self.unet_calls.append(len(inputs[0])))
        self.model.net._net.register_forward_pre_hook(lambda _, inputs: self.net_calls.append(len(inputs[0])))
        self.model.net._net.input_hint_block.register_forward_pre_hook(
            lambda _, inputs: self.hints.append(tuple(inputs[0].shape))
        )

    def alone(self, conditioning: Conditioning, x: Tensor, picture: Image, sigma: float = SIGMA) -> Tensor:
        """The estimate for one prompt, with the net as a patch of the denoiser."""
        patch = self.model.control(picture, 1.0, 0.0, 1.0)
        tokens = conditioning.prompts[0].tokens.expand(len(x), -1, -1)
        return self.denoiser.with_patches(patch).denoise(x, sigma, tokens)


@pytest.fixture
def steered(tmp_path: Path) -> Steered:
    return Steered(tmp_path)


def hint(seed: int = 0, batch: int = 1, side: int = 128) -> Image:
    return Image(torch.rand(batch, side, side, 3, generator=torch.Generator().manual_seed(seed)))


def guided(denoiser: Denoiser, positive: Conditioning, negative: Conditioning, x: Tensor = X) -> tuple[Tensor, Tensor]:
    sides = ClassifierFreeGuidance(denoiser, positive, negative, 3.0).sides(x, SIGMA)
    assert sides.negative is not None
    return sides.positive, sides.negative


def test_both_sides_of_one_control_share_calls_of_both_nets_and_the_hint_is_embedded_once(steered: Steered) -> None:
    positive, negative = apply_control_advanced(POSITIVE, NEGATIVE, steered.model, hint())
    for _ in range(3):
        found = guided(steered.denoiser, positive, negative)
    assert (steered.unet_calls, steered.net_calls, len(steered.hints)) == ([4] * 3, [4] * 3, 1)
    for own, side in zip(found, (POSITIVE, NEGATIVE), strict=True):
        assert (own - steered.alone(side, X, hint())).abs().max() < 1e-5


def test_a_side_without_control_is_asked_apart_and_stays_as_it_was(steered: Steered) -> None:
    positive, _ = apply_control_advanced(POSITIVE, NEGATIVE, steered.model, hint())
    own = guided(steered.denoiser, positive, NEGATIVE)
    assert (own[0] - steered.alone(POSITIVE, X, hint())).abs().max() < 1e-5
    plain = guided(steered.denoiser, POSITIVE, NEGATIVE)[1]
    assert (own[1] - plain).abs().max() < 1e-5
    assert (own[0] - plain).abs().max() > 1e-3


def test_prompts_of_one_side_with_the_same_control_share_calls(steered: Steered) -> None:
    both = Conditioning((*POSITIVE.prompts, *prompt(7).prompts))
    positive, negative = apply_control_advanced(both, NEGATIVE, steered.model, hint())
    guided(steered.denoiser, positive, negative)
    assert steered.net_calls == [6]


def test_each_sample_takes_its_own_hint_in_turn(steered: Steered) -> None:
    pair = hint(1, batch=2)
    positive, negative = apply_control_advanced(POSITIVE, NEGATIVE, steered.model, pair)
    own = guided(steered.denoiser, positive, negative, noise(4, 4, 16, 16))
    for sample in range(4):
        one = noise(4, 4, 16, 16)[sample : sample + 1]
        expected = steered.alone(POSITIVE, one, Image(pair[sample % 2 : sample % 2 + 1]))
        assert (own[0][sample] - expected[0]).abs().max() < 1e-5


def test_a_budget_splits_rows_with_their_hints(steered: Steered) -> None:
    pair = hint(1, batch=2)
    sides = apply_control_advanced(POSITIVE, NEGATIVE, steered.model, pair)
    whole = guided(steered.denoiser, *sides)
    small = replace(steered.denoiser, budget=CallBudget(1))
    split = guided(small, *sides)
    assert steered.net_calls == [4, 1, 1, 1, 1]
    assert max((a - b).abs().max() for a, b in zip(whole, split, strict=True)) < 1e-5


def test_a_control_net_reads_its_own_prompt_and_the_model_the_prompt(steered: Steered) -> None:
    told = noise(1, 10, POSITIVE.prompts[0].tokens.shape[-1], seed=5)  # twice as long as the prompt
    own = Conditioning(tuple(replace(p, control_tokens=told) for p in POSITIVE.prompts))
    positive, negative = apply_control_advanced(own, NEGATIVE, steered.model, hint())
    found = guided(steered.denoiser, positive, negative)
    assert steered.net_calls == [4]
    same = steered.model.control(hint(), 1.0, 0.0, 1.0)
    rows = Rows(Row(sample, (16, 16), told=told[0]) for sample in range(2))
    tokens = POSITIVE.prompts[0].tokens.expand(2, -1, -1)
    expected = steered.denoiser.with_patches(same).denoise(X, SIGMA, tokens, rows=rows)
    assert (found[0] - expected).abs().max() < 1e-5
    assert (found[0] - steered.alone(POSITIVE, X, hint())).abs().max() > 1e-3
    assert (found[1] - steered.alone(NEGATIVE, X, hint())).abs().max() < 1e-5


def test_a_control_net_with_its_own_prompt_answers_as_to_a_model_that_reads_it(steered: Steered) -> None:
    told, same = noise(1, 5, POSITIVE.prompts[0].tokens.shape[-1], seed=6), POSITIVE.prompts[0].tokens
    patch: Any = steered.model.control(hint(), 1.0, 0.0, 1.0)
    with steered.denoiser.net.lease() as net:
        inputs = (X, torch.full((2,), 500.0))
        plain = Call(net, *inputs, told.expand(2, -1, -1), None, SIGMA, Rows.whole(2, (16, 16)))
        rows = Rows(Row(sample, (16, 16), told=told[0]) for sample in range(2))
        other = Call(net, *inputs, same.expand(2, -1, -1), None, SIGMA, rows)
        wanted, got = patch.begun(plain), patch.begun(other)
    assert torch.equal(wanted.middle, got.middle)


def test_the_budget_counts_what_controls_keep(steered: Steered) -> None:
    patch = steered.model.control(hint(), 1.0, 0.0, 1.0)
    with steered.denoiser.net.lease() as net:
        inputs = [X[:1], torch.zeros(1), POSITIVE.prompts[0].tokens]
        plain, more = row_bytes(net, inputs), patch.row_numbers(net, X)
    kept = 32 * 256 + 32 * 256 + 32 * 64 + 64 * 64 + 64 * 16 + 128 * 16  # the maps of the way down, halved twice
    assert more == kept + 32 * 256  # and the embedded hint
    sides = apply_control_advanced(POSITIVE, NEGATIVE, steered.model, hint())
    for number, calls in ((4 * (plain + 4 * more), 1), (4 * plain, 2)):
        steered.unet_calls.clear()
        guided(replace(steered.denoiser, budget=CallBudget(number)), *sides)
        assert len(steered.unet_calls) == calls


@pytest.mark.parametrize("place", [(0, 0), (8, 4)])
def test_prompts_for_an_area_see_the_part_of_the_hint_there(steered: Steered, place: tuple[int, int]) -> None:
    top, left = place
    area = Area(8 * 8, 12 * 8, top * 8, left * 8)
    there = Conditioning(tuple(replace(p, area=area) for p in POSITIVE.prompts))
    positive, _ = apply_control_advanced(there, NEGATIVE, steered.model, hint())
    (own,) = estimates(steered.denoiser, X, SIGMA, [positive])
    cut = Image(hint()[:, top * 8 : (top + 8) * 8, left * 8 : (left + 12) * 8])
    part = X[..., top : top + 8, left : left + 12]
    expected = steered.alone(POSITIVE, part, cut)
    assert (own[..., top : top + 8, left : left + 12] - expected).abs().max() < 1e-5


def test_a_control_acts_from_its_start_to_its_end(steered: Steered) -> None:
    sides = apply_control_advanced(POSITIVE, NEGATIVE, steered.model, hint(), 1.0, 0.2, 0.6)
    sigma_at = steered.denoiser.levels.sigma_at
    for share, acts in ((0.0, False), (0.19, False), (0.21, True), (0.59, True), (0.61, False)):
        steered.net_calls.clear()
        ClassifierFreeGuidance(steered.denoiser, *sides, 3.0).denoise(X, min(sigma_at(share), 14.0))
        assert bool(steered.net_calls) is acts


def test_no_strength_is_no_control(steered: Steered) -> None:
    assert apply_control_advanced(POSITIVE, NEGATIVE, steered.model, hint(), 0.0) == (POSITIVE, NEGATIVE)
    assert apply_control(POSITIVE, steered.model, hint(), 0.0) is POSITIVE


def test_controls_in_a_chain_add_up_and_each_keeps_its_own_range(steered: Steered) -> None:
    sides = apply_control_advanced(POSITIVE, NEGATIVE, steered.model, hint(1), 0.5)
    sides = apply_control_advanced(*sides, steered.model, hint(2), 0.7, 0.0, 0.5)
    patches = [steered.model.control(hint(1), 0.5, 0.0, 1.0), steered.model.control(hint(2), 0.7, 0.0, 0.5)]
    tokens = POSITIVE.prompts[0].tokens.expand(2, -1, -1)
    for sigma, count in ((5.0, 2), (0.1, 1)):
        own = ClassifierFreeGuidance(steered.denoiser, *sides, 3.0).sides(X, sigma).positive
        expected = steered.denoiser.with_patches(*patches[:count]).denoise(X, sigma, tokens)
        assert (own - expected).abs().max() < 1e-5


def test_the_old_node_steers_negative_prompts_without_controls_of_their_own(steered: Steered) -> None:
    positive = apply_control(POSITIVE, steered.model, hint())
    _, own = guided(steered.denoiser, positive, NEGATIVE)
    assert steered.net_calls == [4]
    assert (own - steered.alone(NEGATIVE, X, hint())).abs().max() < 1e-5
    other = apply_control(NEGATIVE, steered.model, hint(5))
    _, own = guided(steered.denoiser, positive, other)
    assert (own - steered.alone(NEGATIVE, X, hint(5))).abs().max() < 1e-5
    dual = DualGuidance(steered.denoiser, positive, POSITIVE, NEGATIVE, 2.0, 2.0)
    assert (dual.denoise_both(X, SIGMA)[1] - steered.alone(NEGATIVE, X, hint())).abs().max() < 1e-5


def test_what_a_prompt_for_an_area_brings_stays_there(steered: Steered) -> None:
    there = Conditioning(tuple(replace(p, area=Area(64, 64, 0, 0)) for p in POSITIVE.prompts))
    positive = apply_control(there, steered.model, hint())
    _, own = guided(steered.denoiser, positive, NEGATIVE)
    assert (own - guided(steered.denoiser, POSITIVE, NEGATIVE)[1]).abs().max() < 1e-5


def test_another_size_of_the_picture_takes_the_hint_anew(steered: Steered) -> None:
    positive, negative = apply_control_advanced(POSITIVE, NEGATIVE, steered.model, hint())
    for side in (16, 24, 16):
        guided(steered.denoiser, positive, negative, noise(1, 4, side, side))
    assert steered.hints == [(1, 3, side * 8, side * 8) for side in (16, 24, 16)]
    kept: Any = positive.prompts[0].controls[0]
    assert kept.kept.nbytes == 32 * 16 * 16 * 4


class Told(Patch):
    """Remembers what calls were about."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []

    def begun(self, call: Any) -> Patch:
        self.rows.append(call.rows)
        return self


def test_patches_are_told_what_each_row_is_about(steered: Steered) -> None:
    told = Told()
    area = Conditioning(tuple(replace(p, area=Area(64, 64, 32, 64)) for p in NEGATIVE.prompts))
    guided(steered.denoiser.with_patches(told), POSITIVE, area)
    steered.denoiser.with_patches(told).denoise(X, SIGMA, POSITIVE.prompts[0].tokens.expand(2, -1, -1))
    whole = (Row(0, (16, 16)), Row(1, (16, 16)))
    assert told.rows == [whole, (Row(0, (16, 16), 4, 8, True), Row(1, (16, 16), 4, 8, True)), whole]
