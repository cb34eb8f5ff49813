"""Bad input: a clear line on standard error, exit status 2 (1 for a failed run), no traceback, nothing half-written."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.app.cli import main

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "models" / "checkpoints" / "easel-demo.safetensors"
PROMPT: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "model.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red circle", "clip": ["1", 1]}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["1", 0],
            "seed": 1,
            "steps": 2,
            "cfg": 4.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "positive": ["2", 0],
            "negative": ["2", 0],
            "latent_image": ["3", 0],
            "denoise": 1.0,
        },
    },
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}},
}


class Place:
    """A base directory with a model, and the command line over it."""

    def __init__(self, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.base = base
        self.capsys = capsys
        self.models = base / "models" / "checkpoints"
        self.models.mkdir(parents=True)
        (base / "input").mkdir()

    def write(self, prompt: Any) -> Path:
        path = self.base / "prompt.json"
        path.write_text(prompt if isinstance(prompt, str) else json.dumps(prompt))
        return path

    def run(self, file: Path, command: str = "run") -> tuple[int, str]:
        options = ["--base-directory", str(self.base), *(["--quiet"] if command == "run" else [])]
        status = main([command, str(file), *options])
        error = self.capsys.readouterr().err
        assert "Traceback" not in error
        return status, error

    def results(self) -> list[Path]:
        return [path for path in (self.base / "output").rglob("*") if path.is_file()]


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, capsys)


def changed(node: str, name: str, value: Any) -> dict[str, Any]:
    prompt = deepcopy(PROMPT)
    prompt[node]["inputs"][name] = value
    return prompt


def without(node: str, name: str) -> dict[str, Any]:
    prompt = deepcopy(PROMPT)
    del prompt[node]["inputs"][name]
    return prompt


def retyped(node: str, class_type: str) -> dict[str, Any]:
    prompt = deepcopy(PROMPT)
    prompt[node]["class_type"] = class_type
    return prompt


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (retyped("4", "KSampla"), ["KSampla 4", "KSampler"]),
        (without("4", "latent_image"), ["KSampler 4", "latent_image"]),
        (changed("4", "latent_image", ["1", 1]), ["KSampler 4", "latent_image", "CLIP", "LATENT"]),
        (changed("4", "steps", 0), ["KSampler 4", "input steps", "1", "10000", "got 0"]),
        (changed("4", "steps", 10_001), ["KSampler 4", "input steps", "10000", "got 10001"]),
        (changed("4", "cfg", float("inf")), ["KSampler 4", "input cfg", "a finite number"]),
        (changed("4", "cfg", "inf"), ["KSampler 4", "input cfg", "inf"]),
        (changed("4", "scheduler", "karas"), ["KSampler 4", "karas", "karras"]),
        (changed("4", "steps", "many"), ["KSampler 4", "input steps", "many"]),
        (changed("4", "sampler_name", "eular"), ["KSampler 4", "eular", "euler"]),
        (changed("4", "model", ["99", 0]), ["KSampler 4", "99"]),
        (changed("4", "model", ["1", 7]), ["KSampler 4", "7"]),
        (changed("4", "latent_image", ["5", 0]), ["LATENT"]),
        (changed("1", "ckpt_name", "../../secret"), ["CheckpointLoaderSimple 1", "secret"]),
        ("{not json", ["prompt.json", "line 1"]),
        ([1, 2], ["neither a prompt nor a workflow"]),
        ({"1": {"class_type": 5, "inputs": {}}}, ['$["1"].class_type']),
    ],
)
def test_a_wrong_prompt_is_told_before_anything_runs(place: Place, prompt: Any, words: list[str]) -> None:
    (place.models / "model.safetensors").symlink_to(DEMO)
    status, error = place.run(place.write(prompt))
    assert status == 2
    for word in words:
        assert word in error
    assert place.results() == []


def test_every_fault_is_told_at_once(place: Place) -> None:
    (place.models / "model.safetensors").symlink_to(DEMO)
    prompt = changed("4", "steps", 0)
    prompt["4"]["inputs"]["cfg"] = 1000
    prompt["3"]["inputs"]["width"] = 1
    _, error = place.run(place.write(prompt), "validate")
    assert [word in error for word in ("input steps", "input cfg", "input width")] == [True] * 3


def test_a_cycle_is_named(place: Place) -> None:
    (place.models / "model.safetensors").symlink_to(DEMO)
    prompt = deepcopy(PROMPT)
    for name, source in (("7", "8"), ("8", "7")):
        prompt[name] = {"class_type": "ImageInvert", "inputs": {"image": [source, 0]}}
    prompt["6"]["inputs"]["images"] = ["7", 0]
    status, error = place.run(place.write(prompt))
    assert status == 2
    assert "ImageInvert 7 -> ImageInvert 8 -> ImageInvert 7" in error


def truncated(path: Path) -> None:
    path.write_bytes(DEMO.read_bytes()[:1_000_000])


def flipped(path: Path) -> None:
    data = bytearray(DEMO.read_bytes())
    for place in range(8, 4000, 97):
        data[place] ^= 0x55
    path.write_bytes(data)


def unknown(path: Path) -> None:
    save_file({"some.layer.weight": torch.zeros(3, 3)}, path)


def lora(path: Path) -> None:
    save_file({"lora_unet_down_blocks_0.lora_up.weight": torch.zeros(3, 3)}, path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [(truncated, "cut short"), (flipped, "model.safetensors"), (unknown, "model.safetensors"), (lora, "LoRA")],
)
def test_a_wrong_model_file_fails_the_run_with_its_name(
    place: Place, damage: Callable[[Path], None], words: str
) -> None:
    damage(place.models / "model.safetensors")
    status, error = place.run(place.write(PROMPT))
    assert status == 1
    assert "CheckpointLoaderSimple 1" in error
    assert words in error
    assert place.results() == []


def sampled_from_parts(sigmas: str, sampler: str = "euler") -> dict[str, Any]:
    prompt = deepcopy(PROMPT)
    prompt["7"] = {"class_type": "ManualSigmas", "inputs": {"sigmas": sigmas}}
    prompt["8"] = {"class_type": "KSamplerSelect", "inputs": {"sampler_name": sampler}}
    inputs = {name: prompt["4"]["inputs"][name] for name in ("model", "cfg", "positive", "negative", "latent_image")}
    inputs |= {"add_noise": True, "noise_seed": 1, "sampler": ["8", 0], "sigmas": ["7", 0]}
    prompt["4"] = {"class_type": "SamplerCustom", "inputs": inputs}
    return prompt


def with_area(x: int) -> dict[str, Any]:
    prompt = deepcopy(PROMPT)
    area = {"conditioning": ["2", 0], "width": 64, "height": 64, "x": x, "y": 0, "strength": 1.0}
    prompt["7"] = {"class_type": "ConditioningSetArea", "inputs": area}
    prompt["4"]["inputs"]["positive"] = ["7", 0]
    return prompt


def linked(name: str, source: dict[str, Any]) -> dict[str, Any]:
    """The prompt with an input of the sampler from a node, whose value is not known before it runs."""
    prompt = changed("4", name, ["7", 0])
    prompt["7"] = source
    return prompt


def scheduled(class_type: str, **inputs: Any) -> dict[str, Any]:
    prompt = sampled_from_parts("")
    prompt["7"] = {"class_type": class_type, "inputs": {"steps": 4, **inputs}}
    return prompt


def whole_number(value: int) -> dict[str, Any]:
    return {"class_type": "PrimitiveInt", "inputs": {"value": value}}


def number(value: float) -> dict[str, Any]:
    return {"class_type": "PrimitiveFloat", "inputs": {"value": value}}


def counted(value: int) -> dict[str, Any]:
    """A schedule whose number of steps comes from a node."""
    prompt = scheduled("KarrasScheduler", sigma_max=14.6, sigma_min=0.03, rho=7.0)
    prompt["7"]["inputs"]["steps"] = ["9", 0]
    return prompt | {"9": whole_number(value)}


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (linked("steps", whole_number(0)), ["KSampler 4", "input steps", "1 to 10000", "got 0"]),
        (linked("steps", whole_number(20_000)), ["KSampler 4", "input steps", "1 to 10000", "got 20000"]),
        (linked("denoise", number(1.5)), ["KSampler 4", "input denoise", "0 to 1", "got 1.5"]),
        (counted(0), ["KarrasScheduler 7", "input steps", "1 to 10000", "got 0"]),
        (
            scheduled("ExponentialScheduler", sigma_max=1.0, sigma_min=2.0),
            ["ExponentialScheduler 7", "input sigma_max", "at least 2"],
        ),
        (
            scheduled("KarrasScheduler", sigma_max=14.0, sigma_min=1.0, rho=0.0),
            ["KarrasScheduler 7", "input rho", "got 0"],
        ),
        (scheduled("VPScheduler", beta_d=5000.0, beta_min=0.1, eps_s=0.001), ["VPScheduler 7", "input beta_d"]),
        (sampled_from_parts("1, nan, 0"), ["ManualSigmas 7"]),
        (sampled_from_parts("1, 3, 2, 0"), ["ManualSigmas 7", "input sigmas", "go up and down"]),
        (sampled_from_parts("0.1, 1, 5", "dpmpp_sde"), ["SamplerCustom 4", "input sigmas", "a rising row"]),
        (sampled_from_parts("5, 0", "dpm_adaptive"), ["SamplerCustom 4", "sigmas", "expected two or more"]),
        (with_area(4096), ["KSampler 4", "outside the picture", "x and y"]),
    ],
)
def test_parts_of_a_sampling_that_do_not_fit_are_named(place: Place, prompt: dict[str, Any], words: list[str]) -> None:
    (place.models / "model.safetensors").symlink_to(DEMO)
    status, error = place.run(place.write(prompt))
    assert status == 1
    assert [word for word in words if word not in error] == []
    assert place.results() == []


class Payload:
    """Unpickled naively, this would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("open('canary', 'w').close()",))


def test_a_pickle_with_code_is_refused_and_does_not_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.base)
    (place.models / "model.ckpt").write_bytes(pickle.dumps({"state_dict": Payload()}))
    torch.save({"state_dict": Payload()}, place.models / "zip.ckpt")
    for name in ("model.ckpt", "zip.ckpt"):
        status, error = place.run(place.write(changed("1", "ckpt_name", name)))
        assert status == 1
        assert name in error
    assert not (place.base / "canary").exists()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png() -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_a_picture_without_a_workflow_cannot_be_run(place: Place) -> None:
    path = place.base / "plain.png"
    path.write_bytes(huge_png())
    status, error = place.run(path)
    assert status == 2
    assert "carries no workflow" in error


def test_a_huge_picture_is_refused_by_its_header(place: Place) -> None:
    (place.base / "input" / "huge.png").write_bytes(huge_png())
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "huge.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    status, error = place.run(place.write(prompt))
    assert status == 1
    assert "LoadImage 1" in error
    assert "too large" in error


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "..\\secret.png", "a/../../secret.png"])
def test_file_inputs_do_not_leave_their_folder(place: Place, name: str) -> None:
    (place.base / "secret.png").write_bytes(huge_png())
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    status, error = place.run(place.write(prompt))
    assert status == 2
    assert "LoadImage 1" in error


def test_a_prefix_does_not_leave_the_output_folder(place: Place) -> None:
    (place.models / "model.safetensors").symlink_to(DEMO)
    status, error = place.run(place.write(changed("6", "filename_prefix", "../../evil")))
    assert status == 1
    assert "SaveImage 6" in error
    assert list(place.base.glob("*evil*")) == []


def test_a_missing_file_is_named(place: Place) -> None:
    status, error = place.run(place.base / "gone.json")
    assert status == 2
    assert "gone.json" in error


def test_an_unknown_device_lists_those_there_are(place: Place) -> None:
    (place.models / "model.safetensors").symlink_to(DEMO)
    status = main(["run", str(place.write(PROMPT)), "--base-directory", str(place.base), "--device", "abacus"])
    assert status == 2
    assert "cpu or simulated, got abacus" in place.capsys.readouterr().err


def test_a_change_of_an_unknown_node_lists_the_nodes(place: Place) -> None:
    (place.models / "model.safetensors").symlink_to(DEMO)
    status = main(["run", str(place.write(PROMPT)), "--base-directory", str(place.base), "--set", "77.text=x"])
    assert status == 2
    assert "4 (KSampler)" in place.capsys.readouterr().err


def test_a_full_disk_fails_the_run_and_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    (place.models / "model.safetensors").symlink_to(DEMO)
    monkeypatch.setattr("engine.store.artifacts.os.fsync", full)
    status, error = place.run(place.write(PROMPT))
    assert status == 1
    assert "the disk is full" in error
    assert place.results() == []
