"""Scores of pictures and words against transformers' CLIPModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPModel

from engine.models.checkpoint import no_embeddings
from engine.models.text.encoder import TextEncoder
from engine.models.text.files import load_text_encoder
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.vision.score import ScoreError, clip_scores
from engine.models.vision.tower import ImageEncoder, load_image_encoder, prepared
from engine.tensors.values import Image
from tests.oracles import families, sd1, vision

CPU = torch.device("cpu")
TEXTS = ["a red ball", "two (large) houses"]
PICTURES = Image(torch.rand(2, 28, 28, 3, generator=torch.Generator().manual_seed(1)))


def clip(projection: int = 48) -> Any:
    """Both towers as one model of transformers."""
    text, image = families.tower(64, 2, projection=projection, activation="quick_gelu"), vision.tower()
    config = {"text_config": text.config.to_dict(), "vision_config": image.config.to_dict(), "projection_dim": 48}
    with torch.device("meta"):
        net = CLIPModel(CLIPModel.config_class(**config))
    return sd1.randomised(net, seed=7)


def written(state: dict[str, torch.Tensor], path: Path) -> Path:
    save_file({name: weight.contiguous() for name, weight in state.items()}, path)
    return path


def loaded(path: Path) -> tuple[TextEncoder, ImageEncoder]:
    return load_text_encoder([path], CPU, no_embeddings), load_image_encoder(path, CPU)


def expected(net: Any) -> torch.Tensor:
    tokens = ClipTokenizer.load()
    ids = torch.cat([families.ids(tokens.encode(text), families.END) for text in TEXTS])
    with torch.no_grad():
        out = net(input_ids=ids, pixel_values=prepared(PICTURES, 28))
    return 100 * torch.nn.functional.cosine_similarity(out.image_embeds, out.text_embeds).clamp(min=0)


def test_scores_are_the_cosines_of_transformers(tmp_path: Path) -> None:
    net = clip()
    text, image = loaded(written(net.state_dict(), tmp_path / "model.safetensors"))
    scores = clip_scores(text, image, PICTURES, TEXTS)
    assert scores.max() > 0
    assert (scores - expected(net)).abs().max() < 1e-3


def test_the_text_tower_of_a_checkpoint_takes_the_projection_of_the_other_file(tmp_path: Path) -> None:
    net = clip()
    whole = written(net.state_dict(), tmp_path / "model.safetensors")
    own = {name: weight for name, weight in net.state_dict().items() if name.startswith("text_model.")}
    text = load_text_encoder([written(own, tmp_path / "clip_l.safetensors")], CPU, no_embeddings)
    scores = clip_scores(text, load_image_encoder(whole, CPU), PICTURES, TEXTS)
    assert (scores - expected(net)).abs().max() < 1e-3


def test_one_text_is_for_all_pictures_and_cosines_below_zero_count_as_none(tmp_path: Path) -> None:
    state = clip().state_dict()
    text, image = loaded(written(state, tmp_path / "model.safetensors"))
    state["visual_projection.weight"] = -state["visual_projection.weight"]
    turned = load_image_encoder(written(state, tmp_path / "turned.safetensors"), CPU)
    scores, lost = (clip_scores(text, tower, PICTURES, ["a red ball"]) for tower in (image, turned))
    assert scores.shape == (2,)
    assert scores.min() > 0
    assert lost.tolist() == [0.0, 0.0]


def test_towers_of_two_models_are_told(tmp_path: Path) -> None:
    text, _ = loaded(written(clip().state_dict(), tmp_path / "model.safetensors"))
    other = load_image_encoder(written(vision.tower(projection=32).state_dict(), tmp_path / "other.safetensors"), CPU)
    with pytest.raises(ScoreError, match=r"clip and clip_vision.*tower, 32, got states of width 64, projected to 48"):
        clip_scores(text, other, PICTURES, TEXTS)


def test_a_tower_without_a_projection_is_told(tmp_path: Path) -> None:
    state = sd1.text_encoder_state(families.tower(64, 2, activation="quick_gelu"))
    text = load_text_encoder([written(state, tmp_path / "text.safetensors")], CPU, no_embeddings)
    image = load_image_encoder(written(vision.tower(projection=64).state_dict(), tmp_path / "image.safetensors"), CPU)
    with pytest.raises(ScoreError, match=r"got states of width 64, no projection.*a whole CLIP"):
        clip_scores(text, image, PICTURES, TEXTS)


def test_other_numbers_of_texts_are_told(tmp_path: Path) -> None:
    text, image = loaded(written(clip().state_dict(), tmp_path / "model.safetensors"))
    with pytest.raises(ScoreError, match=r"image and text.*expected 1 or 2 texts, got 3"):
        clip_scores(text, image, PICTURES, ["a", "b", "c"])
