"""`main.py plan`: modes, bytes and seconds of each node, out of headers alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.app.cli import main
from engine.models import weights
from engine.models.weights import SMALL, Weights

ROOT = Path(__file__).parents[3]
WORKFLOW = str(ROOT / "workflows" / "text_to_image.json")
SMALLER = ("--set", "5.width=64", "--set", "5.height=64", "--set", "3.steps=2")


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    return [WORKFLOW, *SMALLER, "--user-directory", str(tmp_path), "--output-directory", str(tmp_path)]


@pytest.fixture
def decoding(tmp_path: Path) -> list[str]:
    """A prompt that needs one net only."""
    prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "easel-demo.safetensors"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps(prompt))
    return [str(path), "--user-directory", str(tmp_path), "--output-directory", str(tmp_path)]


def planned(argv: list[str], capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main(["plan", *argv, "--json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def nodes(found: dict[str, Any]) -> dict[str, Any]:
    return {node["type"]: node for node in found["nodes"]}


def test_every_node_says_what_it_takes_and_nothing_is_left_behind(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = planned(argv, capsys, "--cpu")
    (work,) = nodes(found)["KSampler"]["works"]
    assert (work["net"], work["calls"], work["summary"]) == ("UNet", 2, "whole")
    assert work["weights"] > 7e6
    assert work["mode"]["activations"] > 0
    assert 0 < work["least"] <= found["least"]
    assert found["fits"]
    assert nodes(found)["KSampler"]["seconds"] is None
    assert not any(node["unknown"] for node in found["nodes"])
    assert list(tmp_path.rglob("*.png")) == []


def test_only_headers_and_small_tensors_are_read(
    decoding: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    opened = weights.open_weights

    def watched(path: Path) -> Weights:
        found = opened(path)
        own = found._read
        found._read = lambda name: (read.append(found.tensors[name].nbytes), own(name))[1]
        return found

    monkeypatch.setattr("engine.models.checkpoint.open_weights", watched)
    planned(decoding, capsys, "--cpu")
    assert read
    assert max(read) <= SMALL


def test_a_table_is_for_people(decoding: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *decoding, "--device", "simulated", "--vram-budget", "8M"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["node", "net", "weights", "activations", "mode", "calls", "at", "least", "seconds"]
    assert any(line.startswith("VAE Decode (3)") and "Autoencoder" in line for line in lines)
    assert lines[-1].startswith("simulated: 8.0 MiB to use")


def test_a_budget_below_the_smallest_mode_says_the_bytes_that_would_do_and_they_do(
    decoding: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    device = ("--device", "simulated", "--reserve-vram", "1M", "--vram-budget")
    assert main(["plan", *decoding, "--json", *device, "2M"]) == 2
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert not found["fits"]
    assert f"({found['least']} bytes)" in err
    assert planned(decoding, capsys, *device, str(found["least"]))["fits"]
    assert main(["run", *decoding, "--quiet", *device, str(found["least"])]) == 0


def test_after_a_run_seconds_are_known_also_for_other_seeds_and_texts(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *argv, "--cpu"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith(".png\n")
    assert "RAM: results" in err
    again = nodes(planned(argv, capsys, "--cpu", "--set", "3.seed=5", "--set", "6.text=a hat"))
    assert again["KSampler"]["seconds"] > 0


def test_a_net_that_is_asked_for_while_another_one_computes_is_planned_too(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = planned([str(ROOT / "workflows" / "demo_controlnet.json"), *argv[1 + len(SMALLER) :]], capsys, "--cpu")
    assert [node["unknown"] for node in found["nodes"] if node["unknown"]] == []
    works = [(work["net"], work["mode"]["activations"]) for work in nodes(found)["KSampler"]["works"]]
    assert [net for net, _ in works] == ["UNet", "ControlNet", "ControlNet"]
    assert all(activations < 2**24 for _, activations in works), "a guess, where a trace would do"
    assert nodes(found)["VAEDecode"]["works"]


def test_a_sampling_that_fails_is_told_of_and_other_branches_go_on(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> torch.Tensor:
        raise ValueError("no luck")

    monkeypatch.setattr("engine.diffusion.denoiser.Denoiser.answer", fail)
    found = nodes(planned(argv, capsys, "--cpu"))
    assert "no luck" in found["KSampler"]["unknown"]
    assert found["VAEDecode"]["unknown"]


def test_a_node_that_fails_at_zeros_stops_its_own_branch_only(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> torch.Tensor:
        raise ValueError("no luck")

    monkeypatch.setattr("engine.models.text.encoder.TextEncoder.encode", fail)
    found = nodes(planned(argv, capsys, "--cpu"))
    assert "no luck" in found["CLIPTextEncode"]["unknown"]
    assert found["KSampler"]["unknown"]
    assert found["CheckpointLoaderSimple"]["works"]
