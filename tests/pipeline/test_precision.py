"""The flags for types and for the place of autoencoders do what they say to the parts of a checkpoint, to a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.app.arguments import parse
from engine.app.surroundings import Surroundings, surroundings
from engine.diffusion.denoiser import denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.memory.precision import HOST, PrecisionError
from engine.models.checkpoint import Checkpoint, load_checkpoint, load_unet
from engine.tensors.values import Latent
from tests.oracles import sd1
from tests.oracles.systems import System

SINGLE, HALF, BRAIN = torch.float32, torch.float16, torch.bfloat16
PARTS = ("unet", "vae", "text")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of tiny nets in single precision."""
    unet, vae, text = sd1.unet((32, 64), 1, 64), sd1.autoencoder((32, 64), 1), sd1.text_encoder(64, 2)
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    state = sd1.checkpoint_state(unet, vae, text)
    save_file({name: weight.contiguous() for name, weight in state.items()}, path)
    return path


@contextmanager
def flags(*argv: str) -> Iterator[Surroundings]:
    around = surroundings(parse(["nodes", *argv])[2])
    with around.working():
        yield around


def handles(checkpoint: Checkpoint) -> Mapping[str, Any]:
    assert checkpoint.text_encoder is not None
    assert checkpoint.vae is not None
    return {"unet": checkpoint.unet, "vae": checkpoint.vae.net, "text": checkpoint.text_encoder.net}


def stored(handle: Any) -> set[torch.dtype]:
    return {weight.dtype for weight in handle.weights().values() if weight.ndim > 1}


def computed(handle: Any, seen: set[torch.dtype]) -> None:
    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        seen.add(output.dtype)

    with handle.look() as net:
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.register_forward_hook(note)


def picture(checkpoint: Checkpoint) -> Tensor:
    clip, vae = checkpoint.text_encoder, checkpoint.vae
    assert clip is not None
    assert vae is not None
    blank = Latent(torch.zeros(1, 4, 8, 8), downscale=vae.downscale, empty=True)
    sides = clip.encode("a circle"), clip.encode("")
    return vae.decode(drive(sample(denoiser_of(checkpoint), *sides, blank, seed=3, cfg=3.0, steps=Steps(2))).samples)


@pytest.fixture(scope="module")
def expected(file: Path) -> Tensor:
    with flags("--cpu") as around:
        return picture(load_checkpoint(file, around.device))


@pytest.mark.parametrize(
    ("flag", "part", "storage", "compute", "close"),
    [
        ("--fp16-unet", "unet", HALF, HALF, 0.02),
        ("--force-fp16", "unet", HALF, HALF, 0.02),
        ("--bf16-unet", "unet", BRAIN, BRAIN, 0.1),
        ("--fp32-unet", "unet", SINGLE, SINGLE, 0.0),
        ("--fp8_e4m3fn-unet", "unet", torch.float8_e4m3fn, SINGLE, 0.2),
        ("--fp8_e5m2-unet", "unet", torch.float8_e5m2, SINGLE, 0.3),
        ("--fp16-vae", "vae", HALF, HALF, 0.02),
        ("--bf16-vae", "vae", BRAIN, BRAIN, 0.1),
        ("--fp32-vae", "vae", SINGLE, SINGLE, 0.0),
        ("--fp16-text-enc", "text", HALF, SINGLE, 0.01),
        ("--bf16-text-enc", "text", BRAIN, SINGLE, 0.05),
        ("--fp32-text-enc", "text", SINGLE, SINGLE, 0.0),
        ("--fp8_e4m3fn-text-enc", "text", torch.float8_e4m3fn, SINGLE, 0.2),
        ("--fp8_e5m2-text-enc", "text", torch.float8_e5m2, SINGLE, 0.3),
    ],
)
def test_a_flag_gives_its_part_these_types_and_no_other(
    file: Path, expected: Tensor, flag: str, part: str, storage: torch.dtype, compute: torch.dtype, close: float
) -> None:
    with flags("--cpu", flag) as around:
        checkpoint = load_checkpoint(file, around.device)
        seen: dict[str, set[torch.dtype]] = {name: set() for name in PARTS}
        for name, handle in handles(checkpoint).items():
            computed(handle, seen[name])
        got = picture(checkpoint)
    assert {name: stored(handle) for name, handle in handles(checkpoint).items()} == {
        name: {storage if name == part else SINGLE} for name in PARTS
    }
    assert seen == {name: {compute if name == part else SINGLE} for name in PARTS}
    assert (got - expected).abs().max() <= close
    assert close == 0 or not torch.equal(got, expected)


def test_all_parts_are_forced_to_single_precision(file: Path) -> None:
    with flags("--cpu", "--force-fp32") as around:
        checkpoint = load_checkpoint(file, around.device)
    assert all(handle.dtype == SINGLE for handle in handles(checkpoint).values())


def test_the_autoencoder_is_on_the_processor_and_the_rest_on_the_simulated_device(file: Path, expected: Tensor) -> None:
    with flags("--device", "simulated", "--cpu-vae") as around:
        checkpoint = load_checkpoint(file, around.device)
        got = picture(checkpoint)
        assert around.room is not None
        held = around.room.ledger.figures()["weights"]
        assert handles(checkpoint)["vae"].device == HOST
        there = sum(handle.nbytes for name, handle in handles(checkpoint).items() if name != "vae")
        assert there <= held < there + handles(checkpoint)["vae"].nbytes
    assert (got - expected).abs().max() <= 1e-5


def test_convolutions_are_ordered_by_channels_last(file: Path, expected: Tensor) -> None:
    with flags("--cpu", "--force-channels-last") as around:
        checkpoint = load_checkpoint(file, around.device)
        got = picture(checkpoint)
    for name in ("unet", "vae"):
        weights = [weight for weight in handles(checkpoint)[name].weights().values() if weight.ndim == 4]
        assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert (got - expected).abs().max() <= 1e-5


def test_attention_of_stable_diffusion_2_is_computed_in_single_precision_beside_half(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[torch.dtype] = set()
    real = torch.nn.functional.scaled_dot_product_attention

    def watched(q: Tensor, *rest: Any, **options: Any) -> Tensor:
        seen.add(q.dtype)
        return real(q, *rest, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    with flags("--cpu", "--fp16-unet") as around:
        for checkpoint, expected in (
            (System().loaded(tmp_path), SINGLE),
            (load_checkpoint(file, around.device), HALF),
        ):
            seen.clear()
            with checkpoint.unet.lease() as net:
                tokens = torch.zeros(1, 3, net.config.context_channels, dtype=HALF)
                assert net(torch.zeros(1, 4, 8, 8, dtype=HALF), torch.ones(1), tokens).dtype == HALF
            assert seen == {expected}


def test_the_type_that_a_workflow_names_goes_before_the_flag(file: Path) -> None:
    with flags("--cpu", "--bf16-unet") as around:
        assert stored(load_unet(file, around.device, stored=torch.float8_e5m2).unet) == {torch.float8_e5m2}


@pytest.mark.parametrize(("part", "flag"), [("unet", "--int8-unet"), ("text", "--int8-text-enc")])
def test_integers_are_made_by_torchao_or_the_flag_says_what_is_missing(
    file: Path, monkeypatch: pytest.MonkeyPatch, part: str, flag: str
) -> None:
    with flags("--cpu", flag) as around:
        monkeypatch.setitem(__import__("sys").modules, "torchao.quantization", None)
        instead = flag.replace("int8", "fp8_e4m3fn")
        with pytest.raises(PrecisionError, match=rf"{flag}.*need torchao.*pip install torchao.*{instead}"):
            load_checkpoint(file, around.device)
        given: list[Any] = []
        fake = SimpleNamespace(quantize_=lambda *call: given.append(call), Int8WeightOnlyConfig=lambda: "int8 weights")
        monkeypatch.setitem(__import__("sys").modules, "torchao.quantization", fake)
        checkpoint = load_checkpoint(file, around.device)
    with handles(checkpoint)[part].look() as net:
        assert given == [(net, "int8 weights")]
