"""Style models equal their paper's net written by hand, and their tokens stand behind the prompt's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.guidance import ClassifierFreeGuidance, estimates
from engine.models.control.errors import ControlError
from engine.models.control.style import load_style_model
from engine.models.detect import ArchitectureError
from engine.models.vision.tower import ImageStates
from engine.node import NodeContext
from nodes.picture_prompts import apply_style, load_style
from tests.oracles import pictures, sd1
from tests.unit.diffusion.nets import CONTEXT, noise, prompt, twins
from tests.unit.models.test_hypernetworks import Files

CPU = torch.device("cpu")
SEEN = 64
X, SIGMA = noise(2, 4, 16, 16), 1.5
POSITIVE = prompt(3)
STATE = pictures.style_state(SEEN, CONTEXT)


def states(width: int = SEEN, count: int = 1) -> ImageStates:
    return ImageStates(noise(count, 8), noise(count, 17, width, seed=2), noise(count, 17, width, seed=3))


@pytest.fixture
def model(tmp_path: Path) -> Any:
    save_file(STATE, tmp_path / "style.safetensors")
    return load_style("style.safetensors", NodeContext(Files(tmp_path)))  # type: ignore[arg-type]


def test_tokens_equal_the_papers_net(model: Any) -> None:
    expected = pictures.style_tokens(STATE, states(count=2).last)
    assert expected.std() > 0.1
    assert (model.tokens(states(count=2)) - expected).abs().max() < 1e-5
    assert model.nbytes == sum(weight.nbytes for weight in STATE.values())


def test_they_stand_behind_the_prompts_tokens_times_the_strength(model: Any) -> None:
    (styled,) = apply_style(POSITIVE, model, states(count=2), 0.5, strength_type="multiply").prompts
    expected = pictures.style_tokens(STATE, states(count=2).last).reshape(1, 16, CONTEXT) * 0.5
    assert torch.equal(styled.tokens[:, :5], POSITIVE.prompts[0].tokens)
    assert (styled.tokens[:, 5:] - expected).abs().max() < 1e-5


@pytest.mark.parametrize(("strength", "words", "copies"), [(0.0, 1, 0), (0.5, 2, 1), (2.0, 1, 2), (3.0, 1, 3)])
def test_with_a_bias_tokens_are_attended_to_as_if_they_were_there_so_often(
    model: Any, strength: float, words: int, copies: int
) -> None:
    denoiser, unet = twins()
    styled = apply_style(POSITIVE, model, states(), strength, strength_type="attn_bias")
    (own,) = estimates(denoiser, X, SIGMA, [styled])
    tokens = styled.prompts[0].tokens
    tokens = torch.cat([tokens[:, :5].repeat(1, words, 1), tokens[:, 5:].repeat(1, copies, 1)], dim=1)
    with torch.no_grad():
        time = torch.tensor(denoiser.levels.timestep(SIGMA))
        expected: Tensor = X - SIGMA * unet(X / (1 + SIGMA**2) ** 0.5, time, tokens.expand(2, -1, -1)).sample
    assert (own - expected).abs().max() < (1e-5 if strength else 1e-3)  # the logarithm of 0 is cut off
    plain = apply_style(POSITIVE, model, states(), 1.0, strength_type="attn_bias")
    assert plain.prompts[0].controls == ()


def test_a_bias_holds_where_tokens_are_repeated_and_other_sides_are_unbiased(model: Any) -> None:
    denoiser, _ = twins()
    styled = apply_style(POSITIVE, model, states(), 2.0, strength_type="attn_bias")
    long = prompt(4, 26)
    sides = ClassifierFreeGuidance(denoiser, styled, long, 2.0).sides(X, SIGMA)
    assert torch.allclose(sides.positive, estimates(denoiser, X, SIGMA, [styled])[0], atol=1e-5)
    assert sides.negative is not None
    assert torch.allclose(sides.negative, estimates(denoiser, X, SIGMA, [long])[0], atol=1e-5)
    twice = replace(styled.prompts[0], tokens=styled.prompts[0].tokens.repeat(1, 2, 1))
    again = estimates(denoiser, X, SIGMA, [replace(styled, prompts=(twice,))])[0]
    assert torch.allclose(again, sides.positive, atol=1e-5)


def test_what_does_not_go_together_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"style\.safetensors, input clip_vision_output: .* width 64, got 32"):
        model.tokens(states(32))
    other = replace(POSITIVE, prompts=(replace(POSITIVE.prompts[0], tokens=noise(1, 5, 48)),))
    words = r"another base model: expected one for tokens of width 48, got one for tokens of width 32"
    with pytest.raises(ControlError, match=words):
        apply_style(other, model, states(), 1.0, strength_type="multiply")
    save_file({k: v for k, v in STATE.items() if "ln_post" not in k}, tmp_path / "half.safetensors")
    with pytest.raises(ArchitectureError, match=r"half\.safetensors: the tensors do not fit .* 2 missing \(ln_post"):
        load_style_model(tmp_path / "half.safetensors", CPU)
    save_file(sd1.unet_state(twins()[1]), tmp_path / "unet.safetensors")
    with pytest.raises(ArchitectureError, match=r"expected a style model .* got a UNet"):
        load_style_model(tmp_path / "unet.safetensors", CPU)
