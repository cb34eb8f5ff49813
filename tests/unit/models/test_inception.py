"""The Inception network of Fréchet distances against pytorch-fid's, by golden features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.memory.handle import ModelHandle
from engine.models.assembly import fill
from engine.models.detect import ArchitectureError
from engine.models.nets.inception import Inception, InceptionConfig
from engine.models.vision.inception import InceptionEncoder, load_inception
from engine.tensors.values import Image
from tests.oracles.inception import GOLDEN, picture, weights_of

CPU = torch.device("cpu")
MANIFEST: dict[str, list[int]] = json.loads((GOLDEN / "inception.json").read_text("utf-8"))


def small(width: int = 4, classes: int = 1008) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        net = Inception(InceptionConfig(width))
    shapes = {name: tuple(weight.shape) for name, weight in net.state_dict().items()}
    return weights_of(shapes | {"fc.weight": (classes, 64 * width), "fc.bias": (classes,)})


def test_features_of_the_published_layout_are_pytorch_fids() -> None:
    with torch.device("meta"):
        net = Inception(InceptionConfig())
    assert {n: list(w.shape) for n, w in net.state_dict().items()} == {
        n: s for n, s in MANIFEST.items() if n[:3] != "fc."
    }
    net = fill(net, weights_of(MANIFEST), torch.float32, "")
    found = InceptionEncoder(ModelHandle(net, CPU)).encode(Image(picture()))
    expected = np.load(GOLDEN / "inception.npz")["features"]
    assert found.shape == (1, 2048)
    assert np.abs(found.numpy() - expected).max() < 1e-5 * np.abs(expected).max()


def test_widths_follow_the_file(tmp_path: Path) -> None:
    torch.save(small(), tmp_path / "small.pth")
    encoder = load_inception(tmp_path / "small.pth", CPU)
    pictures = torch.rand(3, 20, 30, 4, generator=torch.Generator().manual_seed(1))
    found = encoder.encode(Image(pictures))
    assert found.shape == (3, 256)
    assert torch.allclose(encoder.encode(Image(pictures[1:2]))[0], found[1], atol=1e-5)


def test_the_network_of_imagenet_is_refused(tmp_path: Path) -> None:
    save_file(small(classes=1000), tmp_path / "inception_v3.safetensors")
    with pytest.raises(ArchitectureError, match=r"expected 1008 classes, got 1000.*pt_inception-2015-12-05"):
        load_inception(tmp_path / "inception_v3.safetensors", CPU)


def test_other_files_are_refused_by_what_they_are(tmp_path: Path) -> None:
    save_file({"text_model.embeddings.token_embedding.weight": torch.ones(4, 4)}, tmp_path / "clip.safetensors")
    with pytest.raises(ArchitectureError, match=r"clip.safetensors.*expected an Inception network"):
        load_inception(tmp_path / "clip.safetensors", CPU)
