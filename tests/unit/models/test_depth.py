"""The depth net against transformers, its sizes and its files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.models.depth import dpt_config, load_depth_estimator, size_for
from engine.models.detect import ArchitectureError
from engine.models.nets.dpt import DptConfig, DptHybrid
from engine.tensors.values import Conditioning, Image, Prompt
from nodes.depth import estimate_depth
from nodes.families import depth_conditioning
from tests import manifests
from tests.oracles import dpt, families

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def reference() -> dpt.Any:
    return dpt.net()


def written(reference: dpt.Any, folder: Path, prefix: str = "") -> Path:
    path = folder / "depth.safetensors"
    state = families.prefixed(prefix, dpt.state(reference))
    save_file({name: weight.contiguous() for name, weight in state.items()}, path)
    return path


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64), (64, 128)])
def test_depth_equals_transformers(reference: dpt.Any, tmp_path: Path, height: int, width: int) -> None:
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    with load_depth_estimator(written(reference, tmp_path), CPU).net.lease() as net:
        own = net(x)
    embedded = reference.dpt.embeddings(x, interpolate_pos_encoding=True)
    read = (reference.dpt.encoder.layer[:3], reference.dpt.encoder.layer)
    states = []
    for layers in read:
        tokens = embedded.last_hidden_states
        for layer in layers:
            tokens = layer(tokens)
            tokens = tokens[0] if isinstance(tokens, tuple) else tokens
        states.append(tokens)
    features = [*embedded.intermediate_activations, states[0], states[1]]
    features[2], features[3] = states
    expected = reference.head(reference.neck(features, height // 16, width // 16))
    assert expected.std() > 0.01
    assert (own - expected).abs().max() < 1e-5


def test_a_square_picture_goes_through_the_whole_reference(reference: dpt.Any, tmp_path: Path) -> None:
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with load_depth_estimator(written(reference, tmp_path, "depth_model.model."), CPU).net.lease() as net:
        assert (net(x) - reference(x).predicted_depth).abs().max() < 1e-5


def test_the_published_net_has_the_published_tensors() -> None:
    shapes = manifests.manifest("midas-dpt-hybrid", "depth_model")
    assert dpt_config(shapes) == DptConfig()
    with torch.device("meta"):
        net = DptHybrid(dpt_config(shapes))
    assert {name: tuple(weight.shape) for name, weight in net.state_dict().items()} == shapes
    assert sum(weight.numel() for weight in net.parameters()) == 123_146_985


@pytest.mark.parametrize(
    ("picture", "seen"),
    [((512, 512), (384, 384)), ((512, 768), (384, 576)), ((300, 400), (288, 384)), ((9, 9), (384, 384))],
)
def test_pictures_are_seen_at_about_the_size_of_training(picture: tuple[int, int], seen: tuple[int, int]) -> None:
    assert size_for(*picture) == seen


def test_the_node_gives_a_picture_of_0_to_1_that_depth_conditioning_takes(reference: dpt.Any, tmp_path: Path) -> None:
    pictures = Image(torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(3)))
    made = estimate_depth(load_depth_estimator(written(reference, tmp_path), CPU), pictures)
    assert made.shape == (2, 384, 384, 3)
    assert (float(made.min()), float(made.max())) == (0.0, 1.0)
    blank = Conditioning((Prompt(torch.zeros(1, 77, 8)),))
    shown = depth_conditioning(blank, blank, made)[0].prompts[0].extras.picture
    assert shown is not None
    assert shown.shape == (2, 1, 384, 384)


def test_a_checkpoint_without_a_depth_net_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"decoder.mid.block_1.conv1.weight": torch.ones(2, 2, 1, 1)}, path)
    with pytest.raises(ArchitectureError, match=r"expected a depth net .MiDaS DPT-hybrid., got a KL autoencoder"):
        load_depth_estimator(path, CPU)


def test_an_incomplete_depth_net_is_told(reference: dpt.Any, tmp_path: Path) -> None:
    state = {name: t for name, t in dpt.state(reference).items() if "stem" not in name}
    save_file({name: t.contiguous() for name, t in state.items()}, tmp_path / "a.safetensors")
    with pytest.raises(ArchitectureError, match=r"the depth net is incomplete: expected .*stem\.conv\.weight"):
        load_depth_estimator(tmp_path / "a.safetensors", CPU)
