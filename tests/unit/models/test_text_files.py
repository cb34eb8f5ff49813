"""Text encoders from files of their own, in every layout, against transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.models.detect import ArchitectureError
from engine.models.parts import text_encoder_of
from engine.models.text.a1111 import encode_a1111
from engine.models.text.encoder import TextEncoder
from engine.models.text.files import load_text_encoder, recipe_of
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.text.tower import CLIP_H, CLIP_L, SDXL_G, SDXL_L, AttentionFactors
from tests.oracles import families, sd1
from tests.oracles.sd1 import State

CPU = torch.device("cpu")
TEXT = "a painting of a cat"
OWN = ClipTokenizer.load().encode(TEXT)


def written(state: State, path: Path) -> Path:
    save_file({name: weight.contiguous() for name, weight in state.items()}, path)
    return path


def bare(state: State) -> State:
    return {name.removeprefix("text_model."): weight for name, weight in state.items()}


@pytest.mark.parametrize("prefix", ["", "text_model.", "cond_stage_model.transformer.text_model."])
def test_one_tower_loads_with_any_prefix(tmp_path: Path, prefix: str) -> None:
    net = families.tower(64, 2, activation="quick_gelu")
    path = written(families.prefixed(prefix, bare(net.state_dict())), tmp_path / "clip_l.safetensors")
    tokens = load_text_encoder([path], CPU, {}.get).encode(TEXT).prompts[0].tokens
    assert (tokens - net(families.ids(OWN, families.END)).last_hidden_state).abs().max() < 1e-5


def test_a_whole_clip_gives_its_text_tower(tmp_path: Path) -> None:
    net = families.tower(64, 2, activation="quick_gelu", projection=32)
    whole = {**net.state_dict(), "vision_model.embeddings.class_embedding": torch.ones(8), "logit_scale": torch.ones(1)}
    prompt = load_text_encoder([written(whole, tmp_path / "a.safetensors")], CPU, {}.get).encode(TEXT).prompts[0]
    out = net(families.ids(OWN, families.END))
    assert prompt.pooled is not None
    assert (prompt.pooled - out.text_embeds).abs().max() < 1e-5


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("layout", ["open_clip", "transformers"])
def test_sdxls_pair_loads_in_any_order(tmp_path: Path, layout: str, swapped: bool) -> None:
    first = families.tower(64, 2, activation="quick_gelu")
    second = families.tower(128, 3, projection=96)
    state = families.open_clip_state(second) if layout == "open_clip" else second.state_dict()
    paths = [written(first.state_dict(), tmp_path / "l.safetensors"), written(state, tmp_path / "g.safetensors")]
    encoder = load_text_encoder(paths[::-1] if swapped else paths, CPU, {}.get, "sdxl")
    prompt = encoder.encode(TEXT).prompts[0]
    left = first(families.ids(OWN, families.END), output_hidden_states=True).hidden_states[-2]
    right = second(families.ids(OWN, 0), output_hidden_states=True)
    assert (prompt.tokens - torch.cat([left, right.hidden_states[-2]], dim=-1)).abs().max() < 1e-5
    assert prompt.pooled is not None
    assert (prompt.pooled - right.text_embeds).abs().max() < 1e-5


def pair() -> TextEncoder:
    towers = [
        (families.tower(64, 3, activation="quick_gelu").state_dict(), SDXL_L),
        (families.tower(128, 3, projection=96).state_dict(), SDXL_G),
    ]
    encoder = text_encoder_of(towers, CPU, {}.get, "tiny")
    assert encoder is not None
    return encoder


def test_what_changes_an_encoder_changes_both_of_its_towers() -> None:
    plain = pair().encode(TEXT).prompts[0].tokens
    for changed in (pair().with_last_layer(-3), pair().with_attention(AttentionFactors(v=0.5))):
        tokens = changed.encode(TEXT).prompts[0].tokens
        assert (tokens - plain)[..., :64].abs().max() > 1e-3
        assert (tokens - plain)[..., 64:].abs().max() > 1e-3
    assert pair().nbytes == pair().net.nbytes + (pair().second or pair()).nbytes


def test_weights_move_the_states_of_both_towers() -> None:
    plain, empty, weighted = (pair().encode(text).prompts[0].tokens for text in ("cat", "", "(cat:1.5)"))
    assert (weighted - empty - 1.5 * (plain - empty))[:, 1].abs().max() < 1e-5


def test_the_other_dialect_reads_both_towers_too() -> None:
    one, other = pair().encode(TEXT).prompts[0], encode_a1111(pair(), TEXT, 20).prompts[0]
    assert torch.allclose(one.tokens, other.tokens, atol=1e-6)
    assert one.pooled is not None
    assert other.pooled is not None
    assert torch.allclose(one.pooled, other.pooled)


@pytest.mark.parametrize(
    ("width", "layers", "recipe", "last"),
    [(768, 12, CLIP_L, -1), (1024, 24, CLIP_H, -2), (1024, 23, CLIP_H, -1), (1280, 32, SDXL_G, -2)],
)
def test_towers_used_alone_are_told_by_their_width(width: int, layers: int, recipe: object, last: int) -> None:
    shapes = {"embeddings.token_embedding.weight": (49408, width)}
    found = recipe_of(shapes | {f"encoder.layers.{i}.layer_norm1.weight": (width,) for i in range(layers)})
    assert (found.name, found.padding, found.activation) == (recipe.name, recipe.padding, recipe.activation)  # type: ignore[attr-defined]
    assert found.last_layer == last


def test_two_files_of_the_same_tower_are_refused(tmp_path: Path) -> None:
    path = written(sd1.text_encoder(64, 1).state_dict(), tmp_path / "l.safetensors")
    with pytest.raises(ArchitectureError, match=r"two text encoders of the same kind.*got two of width 64"):
        load_text_encoder([path, path], CPU, {}.get, "sdxl")


def test_families_that_are_not_supported_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match=r"input type: .*expected stable_diffusion or sdxl, got flux"):
        load_text_encoder([tmp_path / "l.safetensors"], CPU, {}.get, "flux")


def test_an_autoencoder_given_as_a_text_encoder_is_told(tmp_path: Path) -> None:
    path = written({"decoder.mid.block_1.conv1.weight": torch.ones(2, 2, 1, 1)}, tmp_path / "vae.safetensors")
    with pytest.raises(ArchitectureError, match=r"expected a CLIP text encoder, got a KL autoencoder.*models/vae"):
        load_text_encoder([path], CPU, {}.get)
