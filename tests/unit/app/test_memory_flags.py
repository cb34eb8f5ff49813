"""Flags about memory: read as people know them, contradictions named, and kept to by a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.app.arguments import parse
from engine.app.surroundings import surroundings
from engine.foundation.settings import Settings, settings_from_json, settings_to_json


def settings(*argv: str) -> Settings:
    return parse(["nodes", *argv])[2]


def test_amounts_and_policies_are_read() -> None:
    given = settings("--vram-budget", "4G", "--reserve-vram", "0.5", "--lowvram")
    assert (given.vram_budget, given.reserve_vram, given.vram_policy) == (4 * 2**30, 2**29, "low")
    assert settings("--reserve-vram", "600M").reserve_vram == 600 * 2**20
    assert [settings(f"--{name}vram").vram_policy for name in ("high", "normal", "no")] == ["high", "normal", "none"]
    assert settings("--cpu").device == "cpu"
    plain = settings()
    assert (plain.vram_budget, plain.reserve_vram, plain.vram_policy, plain.device) == (None, 0, None, None)


def test_types_are_asked_for_as_people_know_them() -> None:
    given = settings("--fp8_e4m3fn-unet", "--bf16-vae", "--fp16-text-enc", "--cpu-vae", "--force-channels-last")
    assert (given.unet_type, given.vae_type, given.text_type) == ("fp8_e4m3fn", "bf16", "fp16")
    assert (given.cpu_vae, given.channels_last) == (True, True)
    single, half = settings("--force-fp32", "--fp32-vae"), settings("--force-fp16", "--bf16-vae")
    assert (single.unet_type, single.vae_type, single.text_type) == ("fp32", "fp32", "fp32")
    assert (half.unet_type, half.vae_type, half.text_type) == ("fp16", "bf16", None)
    assert settings("--int8-unet").unet_type == "int8"
    asked = ("fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2", "int8")
    assert tuple(settings(f"--{name}-text-enc").text_type for name in asked) == asked
    assert settings("--cache-ram", "4").ram_reserve == 4 * 2**30


def test_a_worker_is_given_them() -> None:
    given = settings("--vram-budget", "4G", "--novram", "--fp8_e5m2-unet", "--cpu-vae")
    assert settings_from_json(json.loads(json.dumps(settings_to_json(given)))) == given


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lowvram", "--highvram"], "--highvram: not allowed with argument --lowvram"),
        (["--cpu", "--device", "cuda"], "--cpu contradicts --device cuda"),
        (["--cpu", "--vram-budget", "4G"], "--cpu contradicts --vram-budget"),
        (
            ["--device", "cpu", "--novram", "--reserve-vram", "1"],
            "--device cpu contradicts --reserve-vram and --novram",
        ),
        (["--vram-budget", "1G", "--reserve-vram", "1"], "--reserve-vram contradicts --vram-budget"),
        (["--vram-budget", "lots"], "expected an amount such as 4G"),
        (["--reserve-vram", "some"], "expected an amount such as 4G"),
        (["--fp16-unet", "--bf16-unet"], "--bf16-unet: not allowed with argument --fp16-unet"),
        (["--fp16-vae", "--fp32-vae"], "--fp32-vae: not allowed with argument --fp16-vae"),
        (["--force-fp16", "--force-fp32"], "--force-fp32: not allowed with argument --force-fp16"),
        (["--device", "simulated", "--int8-unet"], "--device simulated contradicts --int8-unet"),
        (["--device", "simulated", "--int8-text-enc"], "--device simulated contradicts --int8-text-enc"),
        (["--fp8_e4m3fn-text-enc", "--bf16-text-enc"], "--bf16-text-enc: not allowed with argument --fp8_e4m3fn"),
        (["--force-fp16", "--fp8_e4m3fn-unet"], "--force-fp16 contradicts --fp8_e4m3fn-unet"),
        (["--force-fp32", "--fp16-text-enc"], "--force-fp32 contradicts --fp16-text-enc"),
    ],
)
def test_contradictions_are_named(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings(*flags)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_there_is_a_room_where_memory_is_to_be_planned(tmp_path: Path) -> None:
    plain = replace(settings("--base-directory", str(tmp_path)), device="cpu")
    assert surroundings(plain).room is None
    there = surroundings(replace(plain, device="simulated", vram_budget=2**20, reserve_vram=2**18)).room
    assert there is not None
    assert (there.ledger.limit, there.device.figures().total) == (2**20 - 2**18, 2**20)
