"""GLIGEN equals diffusers' gated UNet, through files in the original and in diffusers' layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.guidance import ClassifierFreeGuidance, estimates
from engine.models.control.errors import ControlError
from engine.models.control.gligen import Box, GligenModel, Grounding, load_gligen
from engine.models.detect import ArchitectureError
from engine.node import NodeContext
from engine.tensors.values import Area, Conditioning, Prompt
from nodes.gligen import apply_box, load_gligen_file, set_gligen_range
from tests.oracles import control
from tests.oracles.sd1 import State
from tests.unit.diffusion.nets import CONTEXT, denoiser_from, noise, prompt, twins
from tests.unit.models.test_hypernetworks import Files

CPU = torch.device("cpu")
SIGMA, SIDE = 1.5, 16
X = noise(2, 4, SIDE, SIDE)
POSITIVE, NEGATIVE = prompt(3), prompt(4)


class Encoder:
    """A text encoder whose pooled states are numbers drawn from the text's length."""

    def __init__(self, width: int = CONTEXT) -> None:
        self.width = width

    def encode(self, text: str) -> Conditioning:
        return Conditioning((Prompt(noise(1, 5, CONTEXT), noise(1, self.width, seed=len(text))),))


def saved(path: Path, state: State) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def files(unet: Any) -> dict[str, State]:
    own, layers = control.gligen_states(unet)
    return {
        "pruned": layers,
        "whole": {f"model.{name}": weight for name, weight in (own | layers).items()},
        "diffusers": dict(unet.state_dict()),
    }


def predicted(unet: Any, boxes: list[tuple[float, ...]], phrases: list[Tensor], tokens: Tensor) -> Tensor:
    """The estimate of diffusers' UNet with boxes."""
    count = len(boxes)
    given = torch.zeros(len(X), 30, 4), torch.zeros(len(X), 30, CONTEXT), torch.zeros(len(X), 30)
    for place in range(count):
        given[0][:, place], given[1][:, place], given[2][:, place] = torch.tensor(boxes[place]), phrases[place], 1
    kwargs = {"gligen": dict(zip(("boxes", "positive_embeddings", "masks"), given, strict=True))}
    time = torch.tensor(twins()[0].levels.timestep(SIGMA))
    with torch.no_grad():
        out = unet(X / (1 + SIGMA**2) ** 0.5, time, tokens.expand(2, -1, -1), cross_attention_kwargs=kwargs).sample
    estimate: Tensor = X - SIGMA * out
    return estimate


def grounded(model: GligenModel, encoder: Any = None) -> Conditioning:
    first = apply_box(POSITIVE, encoder or Encoder(), model, "a cat", 64, 32, 8, 16)
    return apply_box(first, encoder or Encoder(), model, "a dog to the right", 32, 64, 64, 0)


BOXES = [(8 / 128, 16 / 128, 72 / 128, 48 / 128), (64 / 128, 0.0, 96 / 128, 64 / 128)]
PHRASES = [Encoder().encode(text).prompts[0].pooled for text in ("a cat", "a dog to the right")]


@pytest.mark.parametrize("layout", ["pruned", "whole", "diffusers"])
@pytest.mark.parametrize("linear", [False, True])
def test_boxes_equal_diffusers_and_the_negative_side_has_none(tmp_path: Path, layout: str, linear: bool) -> None:
    unet = control.gated_unet((64, 128), CONTEXT, linear=linear)
    denoiser = denoiser_from(control.gligen_states(unet)[0])
    model = load_gligen(saved(tmp_path / "gligen.safetensors", files(unet)[layout]), CPU)
    calls: list[int] = []
    denoiser.net._net.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    sides = ClassifierFreeGuidance(denoiser, grounded(model), NEGATIVE, 3.0).sides(X, SIGMA)
    assert calls == [4]
    expected = predicted(unet, BOXES, PHRASES, POSITIVE.prompts[0].tokens)  # type: ignore[arg-type]
    assert (sides.positive - expected).abs().max() < 1e-5
    assert sides.negative is not None
    assert (sides.negative - predicted(unet, [], [], NEGATIVE.prompts[0].tokens)).abs().max() < 1e-5
    plain = denoiser.denoise(X, SIGMA, POSITIVE.prompts[0].tokens.expand(2, -1, -1))
    assert (sides.positive - plain).abs().max() > 1e-3


def test_boxes_count_as_long_as_they_are_told_to(tmp_path: Path) -> None:
    unet = control.gated_unet((64, 128), CONTEXT)
    denoiser = denoiser_from(control.gligen_states(unet)[0])
    model = load_gligen(saved(tmp_path / "gligen.safetensors", files(unet)["pruned"]), CPU)
    early = set_gligen_range(grounded(model), 0.0, 0.3)
    for share, acts in ((0.25, True), (0.35, False)):
        sigma = denoiser.levels.sigma_at(share)
        own, always, never = (estimates(denoiser, X, sigma, [side])[0] for side in (early, grounded(model), POSITIVE))
        assert torch.equal(own, always if acts else never)


def test_boxes_move_with_the_area_of_their_prompt(tmp_path: Path) -> None:
    unet = control.gated_unet((64, 128), CONTEXT)
    model = load_gligen(saved(tmp_path / "gligen.safetensors", files(unet)["pruned"]), CPU)
    denoiser = denoiser_from(control.gligen_states(unet)[0])
    area = Area(64, 96, 32, 16)
    moved = Conditioning((Prompt(POSITIVE.prompts[0].tokens, area=area),))
    (own,) = estimates(denoiser, X, SIGMA, [apply_box(moved, Encoder(), model, "a cat", 32, 16, 24, 40)])  # type: ignore[arg-type]
    part = X[..., 4:12, 2:14]
    there = apply_box(Conditioning((Prompt(moved.prompts[0].tokens),)), Encoder(), model, "a cat", 32, 16, 8, 8)  # type: ignore[arg-type]
    (expected,) = estimates(denoiser, part, SIGMA, [there])
    assert (own[..., 4:12, 2:14] - expected).abs().max() < 1e-5


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    unet = control.gated_unet((64, 128), CONTEXT)
    model = load_gligen(saved(tmp_path / "gligen.safetensors", files(unet)["pruned"]), CPU)
    assert model.nbytes > 0
    with pytest.raises(ControlError, match=r"gligen\.safetensors, input clip: this phrase .* got one of width 16"):
        grounded(model, Encoder(16))
    full = Grounding(model, tuple(Box(torch.zeros(1, CONTEXT), 0, 0, 8, 8) for _ in range(30)))
    with pytest.raises(ControlError, match="too many boxes: expected 30"):
        full.with_box(full.boxes[0])
    with pytest.raises(ControlError, match="this GLIGEN is for another base model"):
        estimates(twins((32, 96))[0], X, SIGMA, [grounded(model)])
    other = Prompt(noise(1, 5, 48))
    foreign = denoiser_from(control.gligen_states(control.gated_unet((64, 128), 48))[0])
    boxed = apply_box(Conditioning((other,)), Encoder(), model, "a cat")  # type: ignore[arg-type]
    with pytest.raises(ControlError, match=r"this GLIGEN is for another base model.*got one for tokens of width 32"):
        estimates(foreign, X, SIGMA, [boxed])


def test_other_files_are_refused(tmp_path: Path) -> None:
    unet = control.gated_unet((64, 128), CONTEXT)
    layers = files(unet)["pruned"]
    ctx: Any = NodeContext(Files(tmp_path))  # type: ignore[arg-type]
    saved(tmp_path / "whole.safetensors", control.gligen_states(unet)[0])
    with pytest.raises(ArchitectureError, match="expected GLIGEN for boxes with phrases, got a UNet"):
        load_gligen_file("whole.safetensors", ctx)
    saved(tmp_path / "half.safetensors", {k: v for k, v in layers.items() if "fuser.ff" not in k})
    with pytest.raises(ArchitectureError, match=r"half\.safetensors: the tensors do not fit the net: got \d+ missing"):
        load_gligen_file("half.safetensors", ctx)
    saved(tmp_path / "boxes.safetensors", {k: v for k, v in layers.items() if "fuser" not in k})
    with pytest.raises(ArchitectureError, match="GLIGEN's layers are incomplete"):
        load_gligen_file("boxes.safetensors", ctx)


def test_training_states_hold_it_beside_other_nets(tmp_path: Path) -> None:
    unet = control.gated_unet((64, 128), CONTEXT)
    own, layers = control.gligen_states(unet)
    content = {"model": own | layers, "autoencoder": {"x": torch.zeros(1)}, "text_encoder": {"y": torch.zeros(1)}}
    torch.save(content, tmp_path / "diffusion_pytorch_model.bin")
    model = load_gligen(tmp_path / "diffusion_pytorch_model.bin", CPU)
    with model.net.lease() as net:
        assert len(net.fusers) == sum(name.endswith("fuser.linear.weight") for name in layers)
