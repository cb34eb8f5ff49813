"""The safety checker against diffusers', and its nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig

from engine.models.detect import ArchitectureError
from engine.models.safety import SafetyChecker, load_safety_checker
from engine.models.vision.tower import prepared
from engine.node import NodeContext
from engine.node.context import Warned
from engine.tensors.values import Image
from nodes.safety import check, mark, read_mark

CPU = torch.device("cpu")
SIDE, COUNT = 32, 24


def oracle(seed: int = 0) -> Any:
    """Directions are near to what random pictures look like, so that some of them are beyond the thresholds."""
    torch.manual_seed(seed)
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
    vision = {**shape, "image_size": SIDE, "patch_size": 8, "projection_dim": 16, "hidden_act": "quick_gelu"}
    net = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16)).eval()
    for name, weight in net.named_parameters():
        if weight.ndim > 1 and "norm" not in name:
            torch.nn.init.normal_(weight, std=0.3)
    net.concept_embeds_weights.data = torch.linspace(0.3, 0.7, 17)
    net.special_care_embeds_weights.data = torch.tensor([0.3, 0.4, 0.5])
    return net


def pictures() -> Image:
    return Image(torch.rand(COUNT, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(1)))


def saved(net: Any, path: Path, prefix: str = "") -> Path:
    def named(name: str) -> str:
        return prefix + name if name.startswith("vision_model.") else name

    save_file({named(name): weight.contiguous() for name, weight in net.state_dict().items()}, path)
    return path


@pytest.fixture
def checker(tmp_path: Path) -> SafetyChecker:
    return load_safety_checker(saved(oracle(), tmp_path / "checker.safetensors"), CPU)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_pictures_are_flagged_as_by_diffusers(tmp_path: Path, seed: int) -> None:
    net, seen = oracle(seed), prepared(pictures(), SIDE)
    _, expected = net(seen, torch.ones(COUNT, 3, 1, 1))
    own = load_safety_checker(saved(net, tmp_path / "checker.safetensors"), CPU)
    assert own.flagged(pictures()) == expected
    assert 0 < sum(expected) < COUNT


def test_what_calls_for_special_care_lowers_the_other_thresholds(checker: SafetyChecker) -> None:
    seen = checker.concepts.directions[:1] * 0 + checker.special.directions[:1]
    near = checker.concepts.scores(seen)[0].max()
    checker.concepts.thresholds.add_(near + 0.005)  # just out of reach, unless the picture calls for special care
    assert checker.flagged_of(seen) == [True]
    checker.special.thresholds.fill_(2.0)
    assert checker.flagged_of(seen) == [False]
    assert checker.flagged_of(seen, 0.1) == [True]


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_files_of_both_ages_load(tmp_path: Path, prefix: str) -> None:
    own = load_safety_checker(saved(oracle(), tmp_path / "checker.safetensors", prefix), CPU)
    assert sum(own.flagged(pictures())) > 0


def test_flagged_pictures_are_blacked_out_and_the_user_is_told(checker: SafetyChecker) -> None:
    told: list[Any] = []
    image, flagged = check(checker, pictures(), ctx=NodeContext(report=told.append))
    flags = checker.flagged(pictures())
    assert flagged
    assert [bool((one == 0).all()) for one in image] == flags
    assert told == [Warned(f"{sum(flags)} of {COUNT} pictures were blacked out")]


def test_another_file_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(
        ArchitectureError, match=r"other\.safetensors: this is no safety checker: expected concept_embeds"
    ):
        load_safety_checker(tmp_path / "other.safetensors", CPU)


def test_the_watermark_can_be_switched_off_and_read() -> None:
    image: Tensor = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    assert read_mark(mark(Image(image)), 5) == "Easel"
    assert torch.equal(mark(Image(image), enabled=False), image)
