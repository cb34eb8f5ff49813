"""Videos that cannot be made, run as people run them: which node, which input, got what, expected what."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.oracles.video import VideoSystem
from tests.unit.app.test_bad_input import DEMO, Place

VIDEO: dict[str, Any] = {
    "1": {"class_type": "ImageOnlyCheckpointLoader", "inputs": {"ckpt_name": "svd.safetensors"}},
    "2": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}},
    "3": {
        "class_type": "SVD_img2vid_Conditioning",
        "inputs": {
            "clip_vision": ["1", 1], "init_image": ["2", 0], "vae": ["1", 2], "width": 32, "height": 32,
            "video_frames": 2, "motion_bucket_id": 127, "fps": 6, "augmentation_level": 0.0,
        },
    },
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["1", 0], "positive": ["3", 0], "negative": ["3", 1], "latent_image": ["3", 2], "seed": 1,
            "steps": 1, "cfg": 2.5, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0,
        },
    },
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
    "6": {"class_type": "SaveWEBM", "inputs": {"images": ["5", 0], "filename_prefix": "x", "codec": "vp9", "fps": 6.0,
                                                "crf": 30.0}},
}  # fmt: skip
DEMO_LOADER = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "model.safetensors"}}
TEXT = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["7", 1], "text": "a circle"}}
CANVAS = {"class_type": "EmptyLatentImage", "inputs": {"width": 32, "height": 32, "batch_size": 1}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("svd")
    VideoSystem().save(folder)
    return folder


@pytest.fixture
def place(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    place = Place(tmp_path, capsys)
    (place.models / "svd.safetensors").symlink_to(folder / "svd.safetensors")
    (place.models / "model.safetensors").symlink_to(DEMO)
    return place


def changed(nodes: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """The prompt with other or more nodes, and with inputs (`_4_cfg`) of its own set."""
    prompt = deepcopy(VIDEO) | deepcopy(nodes)
    for name, value in inputs.items():
        _, number, key = name.split("_", 2)
        prompt[number]["inputs"][key] = value
    return prompt


def test_a_video_is_made_of_two_frames_and_more(place: Place) -> None:
    assert place.run(place.write(changed({})))[0] == 0
    assert [path.suffix for path in place.base.joinpath("output").iterdir()] == [".webm"]


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "one frame": (
        changed({}, _3_video_frames=1),
        ("SVD_img2vid_Conditioning 3", "input video_frames", "expected 2 to 4096", "got 1"),
    ),
    "a latent of one frame": (
        changed({"8": CANVAS}, _4_latent_image=["8", 0]),
        ("KSampler 4", "this model makes videos", "expected a latent of 2 frames or more", "got 1"),
    ),
    "pictures that are no frames": (
        changed({}, _2_batch_size=3),
        ("SVD_img2vid_Conditioning 3", "input init_image", "expected 1 picture, or one for each of 2 frames", "got 3"),
    ),
    "words": (
        changed({"7": DEMO_LOADER, "8": TEXT}, _4_positive=["8", 0]),
        ("KSampler 4", "takes no words", "expected what SVD_img2vid_Conditioning gives", "got a prompt without"),
    ),
    "a picture for another model": (
        changed({"7": DEMO_LOADER}, _4_model=["7", 0]),
        ("KSampler 4", "another text encoder", "expected tokens of width", "got 48"),
    ),
    "a checkpoint that takes words": (
        changed({}, _1_ckpt_name="model.safetensors"),
        ("ImageOnlyCheckpointLoader 1", "no image encoder (CLIP vision)", "got a checkpoint of SD",
         "CheckpointLoaderSimple"),
    ),
    "a loader for words": (
        changed({"7": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "svd.safetensors"}}},
                _4_model=["7", 0]),
        ("CheckpointLoaderSimple 7", "no text encoder", "got a checkpoint of Stable Video Diffusion",
         "ImageOnlyCheckpointLoader"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_video_is_told(place: Place, name: str) -> None:
    prompt, words = WRONG[name]
    status, error = place.run(place.write(prompt))
    assert status == 1
    for word in words:
        assert word in error
