"""Image towers against transformers, in every layout of their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file
from torch import Tensor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from engine.models.detect import ArchitectureError
from engine.models.vision.tower import load_image_encoder, prepared
from engine.tensors.values import Image
from tests.oracles import families, vision
from tests.oracles.sd1 import State

CPU = torch.device("cpu")


def written(state: State, folder: Path) -> Path:
    path = folder / "model.safetensors"
    save_file({name: weight.contiguous() for name, weight in state.items()}, path)
    return path


def pictures(height: int = 28, width: int = 28) -> Image:
    return Image(torch.rand(2, height, width, 3, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("prefix", ["", "visual.", "embedder.model.visual.", None])
def test_towers_of_every_layout_equal_transformers(tmp_path: Path, prefix: str | None) -> None:
    net = vision.tower()
    state = net.state_dict() if prefix is None else families.prefixed(prefix, vision.open_clip_state(net))
    encoder = load_image_encoder(written(state, tmp_path), CPU)
    seen, pixels = encoder.encode(pictures()), prepared(pictures(), 28)
    out = net(pixels, output_hidden_states=True)
    assert encoder.side == 28
    assert out.image_embeds.std() > 0.05
    assert (seen.embeddings - out.image_embeds).abs().max() < 1e-5
    assert (seen.last - out.hidden_states[-1]).abs().max() < 1e-5
    assert (seen.penultimate - out.hidden_states[-2]).abs().max() < 1e-5


def test_a_configuration_beside_the_file_tells_what_shapes_do_not(tmp_path: Path) -> None:
    told = {"hidden_act": "gelu", "num_attention_heads": 4}
    net = vision.tower(**told)
    path = written(net.state_dict(), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(told))
    seen = load_image_encoder(path, CPU).encode(pictures())
    assert (seen.embeddings - net(prepared(pictures(), 28)).image_embeds).abs().max() < 1e-5


def colours(x: Tensor) -> Pillow.Image:
    return Pillow.fromarray((x * 255).round().byte().numpy())


def test_pictures_are_prepared_as_by_transformers() -> None:
    pixels = (pictures(40, 60)[:1] * 255).round() / 255
    made = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=28)(colours(pixels[0]), return_tensors="pt")
    gap = (prepared(pixels, 28) - made["pixel_values"]).abs()
    assert gap.max() < 0.15  # Pillow rounds and cuts off between the two directions
    assert gap.mean() < 0.01


def test_without_a_crop_the_whole_picture_is_squeezed_in() -> None:
    wide = torch.zeros(1, 28, 56, 3)
    wide[:, :, 28:] = 1
    assert prepared(wide, 28, crop=False)[0, 0, 14, [2, -3]].diff() > 3
    assert prepared(wide, 28)[0].shape == (3, 28, 28)


def test_a_text_tower_given_as_an_image_tower_is_told(tmp_path: Path) -> None:
    path = written({"text_model.embeddings.token_embedding.weight": torch.ones(4, 4)}, tmp_path)
    with pytest.raises(
        ArchitectureError, match=r"expected an image tower.*got a CLIP text encoder.*models/text_encoders"
    ):
        load_image_encoder(path, CPU)


def test_a_tower_without_layers_is_refused(tmp_path: Path) -> None:
    whole = vision.tower().state_dict()
    path = written({name: t for name, t in whole.items() if "layers" not in name}, tmp_path)
    with pytest.raises(ArchitectureError, match=r"the image tower is incomplete: expected .*layers.0.mlp.fc1"):
        load_image_encoder(path, CPU)
