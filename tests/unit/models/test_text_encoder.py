"""The text encoder against transformers: chunks, weights, clip skip, pooled states, textual inversions."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.foundation.bounds import BoundsError
from engine.memory.handle import ModelHandle
from engine.models.detect import ArchitectureError
from engine.models.text.embeddings import EmbeddingError, read_embedding
from engine.models.text.encoder import TextEncoder
from engine.models.text.tokenizer import END, START, ClipTokenizer
from engine.models.text.tower import AttentionFactors, load_tower
from tests.oracles import sd1

CAT = ClipTokenizer.load().encode("cat")[0]


@pytest.fixture(scope="module")
def encoder(checkpoint: Any) -> TextEncoder:
    return checkpoint.text_encoder


def padded(ids: list[int]) -> Tensor:
    return torch.tensor([[START, *ids, *[END] * (76 - len(ids))]])


def tokens(encoder: TextEncoder, text: str) -> Tensor:
    return encoder.encode(text).prompts[0].tokens


@pytest.mark.parametrize("text", ["", "a painting of a cat"])
def test_states_equal_transformers(encoder: TextEncoder, reference: Any, text: str) -> None:
    out = reference.text(padded(encoder.tokenizer.encode(text)))
    prompt = encoder.encode(text).prompts[0]
    assert (prompt.tokens - out.last_hidden_state).abs().max() < 1e-5
    assert prompt.pooled is not None
    place = len(encoder.tokenizer.encode(text)) + 1
    assert (prompt.pooled - out.last_hidden_state[:, place]).abs().max() < 1e-5
    assert out.last_hidden_state.std() > 0.05


def test_clip_skip_reads_an_earlier_layer_and_leaves_pooled_alone(encoder: TextEncoder, reference: Any) -> None:
    hidden = reference.text(padded([CAT]), output_hidden_states=True).hidden_states
    skipped = encoder.with_last_layer(-2).encode("cat").prompts[0]
    assert (skipped.tokens - reference.text.final_layer_norm(hidden[-2])).abs().max() < 1e-5
    assert torch.equal(skipped.pooled, encoder.encode("cat").prompts[0].pooled)


@pytest.mark.parametrize(("layer", "same_as"), [(-4, -1), (-24, -1)])
def test_a_layer_that_is_not_there_means_the_last(encoder: TextEncoder, layer: int, same_as: int) -> None:
    assert torch.equal(tokens(encoder.with_last_layer(layer), "cat"), tokens(encoder.with_last_layer(same_as), "cat"))


def test_the_first_layer_can_be_read(encoder: TextEncoder) -> None:
    assert not torch.equal(tokens(encoder.with_last_layer(-3), "cat"), tokens(encoder, "cat"))


def test_long_prompts_are_encoded_in_chunks_of_75(encoder: TextEncoder, reference: Any) -> None:
    prompt = encoder.encode("cat " * 80).prompts[0]
    parts = [reference.text(padded([CAT] * count)).last_hidden_state for count in (75, 5)]
    assert (prompt.tokens - torch.cat(parts, dim=1)).abs().max() < 1e-5
    assert prompt.pooled is not None
    assert (prompt.pooled - parts[0][:, 76]).abs().max() < 1e-5


def test_weights_move_states_along_the_line_from_the_empty_prompt(encoder: TextEncoder) -> None:
    plain, empty, weighted = (tokens(encoder, text) for text in ("a cat", "", "a (cat:1.5)"))
    expected = plain.clone()
    expected[:, 2] = empty[:, 2] + 1.5 * (plain[:, 2] - empty[:, 2])
    assert (weighted - expected).abs().max() < 1e-5


def test_weight_zero_gives_the_empty_prompts_state(encoder: TextEncoder) -> None:
    assert (tokens(encoder, "(cat:0)")[:, 1] - tokens(encoder, "")[:, 1]).abs().max() < 1e-6


def test_a_weight_of_one_changes_nothing(encoder: TextEncoder) -> None:
    assert torch.equal(tokens(encoder, "a (cat:1.0)"), tokens(encoder, "a cat"))


@pytest.mark.parametrize("text", ["cat", "a (red:1.3) cat"])
def test_multiplied_attention_equals_multiplied_weights(encoder: TextEncoder, text: str) -> None:
    parts = {"q_proj": 1.2, "k_proj": 0.9, "v_proj": 1.1, "out_proj": 0.8}
    before = tokens(encoder, text)
    own = tokens(encoder.with_attention(AttentionFactors(*parts.values())), text)
    with encoder.net.lease() as net:
        changed = copy.deepcopy(net)
        for name, weight in changed.named_parameters():
            weight.mul_(parts.get(name.split(".")[-2], 1.0))
    expected = tokens(replace(encoder, net=ModelHandle(changed, torch.device("cpu"))), text)
    assert (own - expected).abs().max() < 1e-5
    assert (own - before).abs().max() > 1e-3
    assert torch.equal(tokens(encoder, text), before)


def test_factors_of_one_change_no_bit_and_factors_multiply(encoder: TextEncoder) -> None:
    halved = encoder.with_attention(AttentionFactors(v=0.5))
    both = halved.with_attention(AttentionFactors(v=2.0))
    assert torch.equal(tokens(both, "cat"), tokens(encoder, "cat"))
    assert halved.net is encoder.net


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
def test_factors_that_make_no_sense_are_refused(wrong: float) -> None:
    with pytest.raises(BoundsError, match="input k"):
        AttentionFactors(k=wrong)


def with_embedding(encoder: TextEncoder, *vectors: Tensor) -> TextEncoder:
    return TextEncoder(encoder.net, encoder.tokenizer, {"style": vectors or None}.get)


def test_an_embedding_takes_the_place_of_tokens(encoder: TextEncoder, reference: Any) -> None:
    vectors = reference.text.get_input_embeddings().weight[encoder.tokenizer.encode("red cat")]
    asked = tokens(with_embedding(encoder, vectors), "a embedding:style, sleeping")
    assert (asked - tokens(encoder, "a red cat , sleeping")).abs().max() < 1e-6


def test_an_embedding_leaves_the_next_prompt_alone(encoder: TextEncoder) -> None:
    before = tokens(encoder, "a cat")
    tokens(with_embedding(encoder, torch.ones(3, 128)), "a embedding:style")
    assert torch.equal(tokens(encoder, "a cat"), before)


def test_a_weighted_embedding_moves_its_states(encoder: TextEncoder) -> None:
    stylish = with_embedding(encoder, torch.randn(1, 128))
    plain, empty = tokens(stylish, "embedding:style"), tokens(encoder, "")
    weighted = tokens(stylish, "(embedding:style:0.5)")
    assert (weighted[:, 1] - (plain[:, 1] + empty[:, 1]) / 2).abs().max() < 1e-5


def test_an_embedding_that_is_not_there_is_named(encoder: TextEncoder) -> None:
    with pytest.raises(EmbeddingError, match="embedding:style: there is no such embedding"):
        with_embedding(encoder).encode("a embedding:style")


def test_an_embedding_of_another_width_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(EmbeddingError, match=r"expected vectors of width 128, got shape \(2, 64\)"):
        with_embedding(encoder, torch.ones(2, 64)).encode("embedding:style")
    with pytest.raises(EmbeddingError, match=r"got shape \(1, 768\) and shape \(1, 1280\)\. It is for SDXL"):
        with_embedding(encoder, torch.ones(1, 768), torch.ones(1, 1280)).encode("embedding:style")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.bin"])
def test_embedding_files_of_each_form_are_read(tmp_path: Path, name: str) -> None:
    vectors, path = torch.randn(2, 8), tmp_path / name
    if name == "a.safetensors":
        save_file({"emb_params": vectors}, path)
    else:
        nested = {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(vectors)}}
        torch.save(nested if name == "a.pt" else {"<style>": vectors}, path)
    (read,) = read_embedding(path)
    assert torch.equal(read, vectors)


@pytest.mark.parametrize("names", [("clip_g", "clip_l"), ("text_encoders_0", "text_encoders_1")])
def test_a_file_for_two_encoders_gives_each_its_own(
    tmp_path: Path, encoder: TextEncoder, names: tuple[str, str], reference: Any
) -> None:
    vectors = reference.text.get_input_embeddings().weight[encoder.tokenizer.encode("red cat")]
    save_file(dict(zip(names, (torch.ones(2, 1280), vectors.contiguous()), strict=True)), tmp_path / "a.safetensors")
    stylish = with_embedding(encoder, *read_embedding(tmp_path / "a.safetensors"))
    assert (tokens(stylish, "a embedding:style") - tokens(encoder, "a red cat")).abs().max() < 1e-6


def test_vectors_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    save_file({"emb_params": torch.full((1, 8), torch.nan)}, tmp_path / "a.safetensors")
    with pytest.raises(EmbeddingError, match=r"a\.safetensors, emb_params: there are numbers .* got NaN or infinity"):
        read_embedding(tmp_path / "a.safetensors")


def test_a_single_half_precision_vector_becomes_one_row(tmp_path: Path) -> None:
    save_file({"<style>": torch.ones(8, dtype=torch.float16)}, tmp_path / "a.safetensors")
    (vectors,) = read_embedding(tmp_path / "a.safetensors")
    assert (vectors.shape, vectors.dtype) == ((1, 8), torch.float32)


def test_a_lora_given_as_an_embedding_is_told(tmp_path: Path) -> None:
    save_file(
        {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(4, 4)}, tmp_path / "a.safetensors"
    )
    with pytest.raises(ArchitectureError, match="expected a textual inversion, got a LoRA"):
        read_embedding(tmp_path / "a.safetensors")


def test_towers_load_with_and_without_the_prefix_of_their_names() -> None:
    net = sd1.text_encoder(64, 1)
    states = []
    for prefix in ("text_model.", ""):
        named = {f"{prefix}{name.removeprefix('text_model.')}": weight for name, weight in net.state_dict().items()}
        tower = ModelHandle(load_tower(named, None, "tiny"), torch.device("cpu"))
        states.append(TextEncoder(tower, ClipTokenizer.load(), {}.get).encode("cat").prompts[0].tokens)
    assert torch.equal(states[0], states[1])
