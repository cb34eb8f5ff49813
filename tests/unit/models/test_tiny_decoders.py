"""Tiny decoders are found by family, loaded once, read again if the file changes; a bad file is told of once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.foundation.settings import settings_under
from engine.models.nets.tiny_autoencoder import TinyConfig, TinyDecoder
from engine.models.tiny_decoders import Decoders
from engine.store.folders import folders
from engine.tensors.values import LatentPreview

SD1, SDXL = (LatentPreview(torch.zeros(1, 4, 2, 2), scale, 8) for scale in (0.18215, 0.13025))
FLUX = LatentPreview(torch.zeros(1, 16, 2, 2), 0.3611, 8)
UNKNOWN = LatentPreview(torch.zeros(1, 4, 2, 2), 0.18215, 4)


class Place:
    """A models folder, and the decoders in it."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "models" / "vae_approx"
        self.warnings: list[str] = []
        self.decoders = Decoders(folders(settings_under(base)), torch.device("cpu"), self.warnings.append)

    def put(self, name: str, config: TinyConfig | None = None) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        net = TinyDecoder(config or TinyConfig(widths=(4, 4, 4, 4)))
        save_file(dict(net.state_dict()), path)
        return path

    def damage(self, name: str, content: bytes = b"no weights") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_without_files_there_is_no_decoder_and_no_warning(place: Place) -> None:
    assert place.decoders.fitting(SD1) is None
    assert not place.warnings


@pytest.mark.parametrize(
    "name", ["taesd_decoder.safetensors", "TAESD.safetensors", "taesd/diffusion_model.safetensors"]
)
def test_files_belong_to_the_family_that_their_name_says(name: str, place: Place) -> None:
    place.put(name)
    assert place.decoders.fitting(SD1) is not None
    assert place.decoders.fitting(SDXL) is None
    assert place.decoders.fitting(UNKNOWN) is None
    assert place.decoders.fitting(torch.zeros(1, 8, 8, 3)) is None


def test_each_family_gets_its_own(place: Place) -> None:
    for name, channels in (("taesd", 4), ("taesdxl", 4), ("taef1", 16)):
        place.put(f"{name}_decoder.safetensors", TinyConfig(channels, (4, 4, 4, 4)))
    found = [place.decoders.fitting(latent) for latent in (SD1, SDXL, FLUX)]
    assert None not in found
    assert len({id(decoder) for decoder in found}) == 3


def test_a_decoder_is_loaded_once(place: Place) -> None:
    place.put("taesd_decoder.safetensors")
    first = place.decoders.fitting(SD1)
    assert first is not None
    assert place.decoders.fitting(SD1) is first


def test_a_changed_file_is_read_again_and_a_removed_one_forgotten(place: Place) -> None:
    path = place.put("taesd_decoder.safetensors")
    first = place.decoders.fitting(SD1)
    place.put("taesd_decoder.safetensors")
    os.utime(path, (1, 1))
    second = place.decoders.fitting(SD1)
    assert second is not None
    assert second is not first
    path.unlink()
    assert place.decoders.fitting(SD1) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("taesd_decoder.safetensors", b"no weights"),
        ("taesd_decoder.safetensors", b""),
        ("taesd_decoder.pth", b"PK\x03\x04"),
        ("taesd_decoder.pth", b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R."),
    ],
)
def test_a_damaged_file_is_told_of_once_until_it_changes(name: str, content: bytes, place: Place) -> None:
    path = place.damage(name, content)
    assert [place.decoders.fitting(SD1) for _ in range(3)] == [None] * 3
    assert len(place.warnings) == 1
    assert f"previews do without {name}" in place.warnings[0]
    os.utime(path, (1, 1))
    assert place.decoders.fitting(SD1) is None
    assert len(place.warnings) == 2


def test_a_sound_file_beside_a_damaged_one_is_used(place: Place) -> None:
    place.damage("a/taesd_decoder.safetensors")
    place.put("b/taesd_decoder.safetensors")
    assert place.decoders.fitting(SD1) is not None
    assert len(place.warnings) == 1


@pytest.mark.parametrize("config", [TinyConfig(16, (4, 4, 4, 4)), TinyConfig(4, (4, 4, 4), (1, 1, 1))])
def test_a_decoder_of_another_family_is_not_used(config: TinyConfig, place: Place) -> None:
    place.put("taesd_decoder.safetensors", config)
    assert place.decoders.fitting(SD1) is None
    assert "expected 4 channels, cells of 8 pixels" in place.warnings[0]


def test_encoders_are_passed_by(place: Place) -> None:
    place.damage("taesd_encoder.safetensors")
    assert place.decoders.fitting(SD1) is None
    assert not place.warnings
