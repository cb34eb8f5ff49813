"""Cascades and class models asked for what they cannot do, run as people run them: who, which input, got what."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from torch import Tensor

from tests.oracles.cascade import original_state, unet
from tests.oracles.transformers import dit, dit_state
from tests.unit.app.test_bad_input import DEMO, Place
from tests.unit.models.test_t5 import SPIECE, oracle, tied

WIDTH = 32  # of the tiny T5
SIDES = {"positive": ["4", 0], "negative": ["5", 0], "cfg": 3.0, "sampler_name": "ddpm", "schedule": "trailing",
         "steps": 1, "denoise": 1.0, "percentile": 0.95, "maximum": 1.0, "seed": 1}  # fmt: skip
CASCADE: dict[str, Any] = {
    "1": {"class_type": "CascadeStageLoader", "inputs": {"stage_name": "first.safetensors"}},
    "2": {"class_type": "CascadeStageLoader", "inputs": {"stage_name": "later.safetensors"}},
    "3": {"class_type": "T5Loader", "inputs": {"t5_name": "t5.safetensors"}},
    "4": {"class_type": "T5TextEncode", "inputs": {"t5": ["3", 0], "text": "a", "clean_caption": True, "tokens": 7}},
    "5": {"class_type": "T5TextEncode", "inputs": {"t5": ["3", 0], "text": "", "clean_caption": True, "tokens": 7}},
    "6": {"class_type": "EmptyPixelImage", "inputs": {"width": 8, "height": 8, "batch_size": 1}},
    "7": {"class_type": "CascadeSample", "inputs": {"stage": ["1", 0], "pixels": ["6", 0], **SIDES}},
    "8": {"class_type": "CascadeSuperResolve",
          "inputs": {"stage": ["2", 0], "pixels": ["7", 0], "scale": 2.0, "noise_level": 0.25, **SIDES}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 1], "filename_prefix": "x"}},
}  # fmt: skip
DEMO_LOADER = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "model.safetensors"}}
CLIP_WORDS = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["11", 1], "text": "a circle"}}
CLASSES: dict[str, Any] = {
    "1": {"class_type": "DiTLoader", "inputs": {"dit_name": "dit.safetensors", "guided_channels": "all"}},
    "2": {"class_type": "DiTClassLabel", "inputs": {"model": ["1", 0], "label": "1001"}},
    "3": {"class_type": "ImageNetLabel", "inputs": {"label": "none"}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "5": {"class_type": "KSampler",
          "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0], "seed": 1,
                     "steps": 1, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}},
    "6": {"class_type": "SaveLatent", "inputs": {"samples": ["5", 0], "filename_prefix": "x"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages, three T5 (one without a tokenizer, one of another width) and a DiT."""
    folder = tmp_path_factory.mktemp("models")
    states: dict[str, dict[str, Tensor]] = {
        "diffusion_models/first": original_state(unet((64, 96), (1, 1), encoder=WIDTH)),
        "diffusion_models/later": original_state(unet((64, 96), (1, 1), upscaling=True, encoder=WIDTH)),
        "diffusion_models/dit": dit_state(dit(depth=1)),
        "text_encoders/t5": tied(oracle()),
        "text_encoders/alone/t5": tied(oracle()),
        "text_encoders/narrow": narrow(tied(oracle())),
    }
    for name, state in states.items():
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    (folder / "text_encoders" / "spiece.model").write_bytes(SPIECE.read_bytes())
    return folder


def narrow(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A T5 half as wide."""
    half = WIDTH // 2
    return {name: tensor[tuple(slice(half) if side == WIDTH else slice(None) for side in tensor.shape)]
            if "relative" not in name else tensor for name, tensor in state.items()}  # fmt: skip


@pytest.fixture
def place(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    place = Place(tmp_path, capsys)
    for kind in models.iterdir():
        (tmp_path / "models" / kind.name).symlink_to(kind)
    (place.models / "model.safetensors").symlink_to(DEMO)
    return place


def changed(prompt: dict[str, Any], nodes: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """`prompt` with other or more nodes, and with inputs (`_4_cfg`) of its own set."""
    prompt = deepcopy(prompt) | deepcopy(nodes)
    for name, value in inputs.items():
        _, number, key = name.split("_", 2)
        prompt[number]["inputs"][key] = value
    return prompt


def number(value: float) -> dict[str, Any]:
    return {"class_type": "PrimitiveFloat", "inputs": {"value": value}}


def test_a_cascade_of_sound_parts_paints(place: Place) -> None:
    status, error = place.run(place.write(CASCADE))
    assert (status, len(place.results())) == (0, 1), error


WRONG: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
    "a first stage in the node of later ones": (
        changed(CASCADE, {}, _2_stage_name="first.safetensors"), 1,
        ("CascadeSuperResolve 8", "input stage", "expected a super-resolution stage (II or III)",
         "got a first stage (I)", "Use the node CascadeSample"),
    ),
    "a later stage in the node of the first": (
        changed(CASCADE, {}, _1_stage_name="later.safetensors"), 1,
        ("CascadeSample 7", "input stage", "expected a first stage (I)", "got a super-resolution stage (II or III)",
         "Use the node CascadeSuperResolve"),
    ),
    "a model of latents": (
        changed(CASCADE, {"11": DEMO_LOADER}, _7_stage=["11", 0]), 1,
        ("CascadeSample 7", "input stage", "works on latents", "expected a stage of a pixel cascade", "got a model of",
         "CascadeStageLoader"),
    ),
    "a checkpoint as a stage": (
        changed(CASCADE, {}, _1_stage_name="dit.safetensors"), 1,
        ("CascadeStageLoader 1", "dit.safetensors", "expected a stage of a pixel cascade", "got a DiT",
         "Load it with UNETLoader"),
    ),
    "words of a narrower T5": (
        changed(CASCADE, {}, _3_t5_name="narrow.safetensors"), 1,
        ("CascadeSample 7", "inputs positive and negative", "expected tokens of width 32", "got 16"),
    ),
    "words of CLIP": (
        changed(CASCADE, {"11": DEMO_LOADER, "12": CLIP_WORDS}, _8_positive=["12", 0]), 1,
        ("CascadeSuperResolve 8", "expected tokens of width 32", "got 128"),
    ),
    "a T5 without its tokenizer": (
        changed(CASCADE, {}, _3_t5_name="alone/t5.safetensors"), 1,
        ("T5Loader 3", "there is no tokenizer", "expected tokenizer.json or spiece.model", "beside its weights"),
    ),
    "a noise level beyond the last": (
        changed(CASCADE, {}, _8_noise_level=1.5), 2,
        ("CascadeSuperResolve 8", "input noise_level", "expected", "0.999", "got 1.5"),
    ),
    "a noise level beyond the last from a node": (
        changed(CASCADE, {"11": number(1.5)}, _8_noise_level=["11", 0]), 1,
        ("CascadeSuperResolve 8", "input noise_level", "expected 0 to 1", "got 1.5"),
    ),
    "a negative noise level from a node": (
        changed(CASCADE, {"11": number(-0.5)}, _8_noise_level=["11", 0]), 1,
        ("CascadeSuperResolve 8", "input noise_level", "expected 0 to 1", "got -0.5"),
    ),
    "class 1001": (
        CLASSES, 1, ("DiTClassLabel 2", "input label", "expected a class from 0 to 999, or 1000 for none", "got 1001"),
    ),
    "a class with a comma": (
        changed(CLASSES, {}, _2_label="1,001"), 1,
        ("DiTClassLabel 2", "input label", "there is no such class", "its number", "got 1,001"),
    ),
    "a class that ImageNet lacks": (
        changed(CLASSES, {}, _3_label="unicorn (1001)"), 2, ("ImageNetLabel 3", "input label", "unicorn (1001)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_told(place: Place, name: str) -> None:
    prompt, expected, words = WRONG[name]
    status, error = place.run(place.write(prompt))
    assert status == expected
    assert [word for word in words if word not in error] == [], error
    assert place.results() == []


def test_a_canvas_of_any_side_is_painted(place: Place) -> None:
    status, error = place.run(place.write(changed(CASCADE, {}, _6_width=9, _6_height=13)))
    assert (status, len(place.results())) == (0, 1), error
