"""T5's encoder against transformers, and its tokenizer against what sentencepiece gave."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from engine.foundation.settings import WeightType
from engine.memory.precision import PRECISIONS, Abilities, Precisions
from engine.models.detect import ArchitectureError
from engine.models.text.sentencepiece import END, T5Tokenizer, read_pieces
from engine.models.text.t5 import T5Encoder, load_t5, t5_of
from engine.models.text.tokenizer import TokenizerError

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
SPIECE = GOLDEN / "spiece.model"
CPU = torch.device("cpu")
TEXT = "a photo of a large red circle"


def oracle(kind: str = "gated-gelu") -> Any:
    torch.manual_seed(0)
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "feed_forward_proj": kind}
    net = T5EncoderModel(T5Config(vocab_size=512, **shape)).eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return net


def tied(net: Any) -> dict[str, Tensor]:
    """As files have it: the table once."""
    return {
        name: weight.clone() for name, weight in net.state_dict().items() if not name.endswith("embed_tokens.weight")
    }


@contextmanager
def types(asked: Precisions) -> Iterator[None]:
    token = PRECISIONS.set(asked)
    try:
        yield
    finally:
        PRECISIONS.reset(token)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(tied(oracle()), tmp_path / "t5xxl.safetensors")
    return tmp_path / "t5xxl.safetensors"


def expected(net: Any, text: str, length: int) -> Tensor:
    ids = [*T5Tokenizer.read(SPIECE).encode(text)[: length - 1], END]
    row, mask = torch.zeros(1, length, dtype=torch.long), torch.zeros(1, length, dtype=torch.long)
    row[0, : len(ids)], mask[0, : len(ids)] = torch.tensor(ids), 1
    with torch.no_grad():
        states: Tensor = net(input_ids=row, attention_mask=mask)[0]
    return states


@pytest.mark.parametrize("text", json.loads((GOLDEN / "spiece_ids.json").read_text("utf-8")))
def test_ids_are_those_of_sentencepiece(text: str) -> None:
    assert T5Tokenizer.read(SPIECE).encode(text) == json.loads((GOLDEN / "spiece_ids.json").read_text("utf-8"))[text]


def test_a_tokenizer_of_either_form_gives_the_same_ids(tmp_path: Path) -> None:
    read = T5Tokenizer.read(SPIECE)
    (tmp_path / "tokenizer.json").write_text(read._tokenizer.to_str(), "utf-8")
    assert T5Tokenizer.read(tmp_path).encode(TEXT) == read.encode(TEXT)


@pytest.mark.parametrize("cut", [1, 1000, 3000])
def test_half_a_model_file_is_refused(tmp_path: Path, cut: int) -> None:
    (tmp_path / "spiece.model").write_bytes(SPIECE.read_bytes()[:-cut] + b"\x0f" * 2)
    with pytest.raises(TokenizerError, match=r"spiece\.model: this tokenizer cannot be read"):
        T5Tokenizer.read(tmp_path)


def test_a_missing_tokenizer_is_named(tmp_path: Path, file: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    with pytest.raises(TokenizerError, match=r"tokenizer: there is no tokenizer: expected tokenizer\.json or spiece"):
        load_t5(file, CPU, tmp_path / "tokenizer")


def test_pieces_keep_their_order_scores_and_types() -> None:
    found = read_pieces(SPIECE.read_bytes())
    assert [piece for piece, *_ in found.pieces[:3]] == ["<pad>", "</s>", "<unk>"]
    assert [kind for *_, kind in found.pieces[:4]] == [3, 3, 2, 1]
    assert found.collapses


@pytest.mark.parametrize("length", [77, 120, 300])
def test_states_are_those_of_transformers_whatever_the_length(file: Path, length: int) -> None:
    states = load_t5(file, CPU, SPIECE).encode(TEXT, length).prompts[0].tokens
    assert states.shape == (1, length, 32)
    assert (states - expected(oracle(), TEXT, length)).abs().max() < 1e-5


def test_trimmed_states_are_the_text_alone(file: Path) -> None:
    encoder = load_t5(file, CPU, SPIECE)
    trimmed, whole = (encoder.encode(TEXT, trimmed=cut).prompts[0].tokens for cut in (True, False))
    count = len(T5Tokenizer.read(SPIECE).encode(TEXT)) + 1
    assert trimmed.shape == (1, count, 32)
    assert torch.equal(trimmed, whole[:, :count])


def test_a_long_text_is_cut_and_ends_with_the_end_token(file: Path) -> None:
    states = load_t5(file, CPU, SPIECE).encode("large red circle " * 60, 20).prompts[0].tokens
    assert (states - expected(oracle(), "large red circle " * 60, 20)).abs().max() < 1e-5


def test_gates_are_told_from_names() -> None:
    plain = oracle("relu")
    net = t5_of(plain.state_dict(), torch.float32, "")
    ids = torch.tensor([[5, 9, 1]])
    assert (net(input_ids=ids).last_hidden_state - plain(ids)[0]).abs().max() < 1e-5


def test_half_precision_files_are_computed_with_in_single_precision(tmp_path: Path) -> None:
    narrow = {name: weight.half() for name, weight in tied(oracle()).items()}
    save_file(narrow, tmp_path / "t5.safetensors")
    wide = oracle()
    wide.load_state_dict({name: weight.half().float() for name, weight in wide.state_dict().items()})
    encoder = load_t5(tmp_path / "t5.safetensors", CPU, SPIECE)
    assert {weight.dtype for weight in encoder.net.weights().values() if weight.ndim > 1} == {torch.float16}
    assert (encoder.encode(TEXT).prompts[0].tokens - expected(wide, TEXT, 77)).abs().max() < 1e-6


def test_a_folder_with_shards_and_a_file_with_a_decoder_load_the_same(tmp_path: Path, file: Path) -> None:
    oracle().save_pretrained(tmp_path / "text_encoder", max_shard_size="20KB")
    state = tied(oracle()) | {"decoder.block.0.layer.0.SelfAttention.q.weight": torch.zeros(4, 4)}
    save_file(state, tmp_path / "whole.safetensors")
    index = tmp_path / "text_encoder" / "model.safetensors.index.json"
    first = load_t5(file, CPU, SPIECE).encode(TEXT).prompts[0].tokens
    for path in (tmp_path / "text_encoder", index, tmp_path / "whole.safetensors"):
        assert torch.equal(load_t5(path, CPU, SPIECE).encode(TEXT).prompts[0].tokens, first)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_file({"embeddings.token_embedding.weight": torch.zeros(4, 4)}, tmp_path / "clip.safetensors")
    with pytest.raises(ArchitectureError, match=r"expected a T5 encoder, got a CLIP text encoder"):
        load_t5(tmp_path / "clip.safetensors", CPU, SPIECE)


def test_an_incomplete_encoder_is_refused() -> None:
    state = tied(oracle())
    del state["encoder.block.1.layer.1.DenseReluDense.wi_0.weight"]
    with pytest.raises(ArchitectureError, match=r"t5: the tensors do not fit the net: got 1 missing \(block\.1"):
        t5_of(state, torch.float32, "t5")


def test_the_encoder_says_what_it_is(file: Path) -> None:
    encoder = load_t5(file, CPU, SPIECE)
    assert isinstance(encoder, T5Encoder)
    assert (encoder.width, encoder.nbytes) == (32, sum(weight.nbytes for weight in tied(oracle()).values()))


@pytest.mark.parametrize(("asked", "dtype", "gap"), [
    (None, torch.float32, 0.0),
    ("fp32", torch.float32, 0.0),
    ("fp16", torch.float16, 0.01),
    ("bf16", torch.bfloat16, 0.1),
    ("fp8_e4m3fn", torch.float8_e4m3fn, 1.0),
    ("fp8_e5m2", torch.float8_e5m2, 2.0),
])  # fmt: skip
def test_weights_lie_in_the_type_that_is_asked_for(
    file: Path, asked: WeightType | None, dtype: torch.dtype, gap: float
) -> None:
    plain = load_t5(file, CPU, SPIECE).encode(TEXT).prompts[0].tokens
    with types(Precisions(text=asked)):
        encoder = load_t5(file, CPU, SPIECE)
    assert {weight.dtype for weight in encoder.net.weights().values() if weight.ndim > 1} == {dtype}
    assert encoder.net.dtype == torch.float32
    found = (encoder.encode(TEXT).prompts[0].tokens - plain).abs().max()
    assert gap / 30 <= found <= gap


def test_single_precision_is_computed_in_where_it_is_asked_for(file: Path) -> None:
    for asked, computed in ((None, torch.bfloat16), ("fp16", torch.bfloat16), ("fp32", torch.float32)):
        with types(Precisions(text=asked, can=Abilities(half=True, bfloat16=True))):
            assert load_t5(file, CPU, SPIECE).net.dtype == computed


def test_integers_are_made_of_what_is_computed_in(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    fake = SimpleNamespace(quantize_=lambda net, _: given.append(net), Int8WeightOnlyConfig=lambda: "int8 weights")
    monkeypatch.setitem(sys.modules, "torchao.quantization", fake)
    with types(Precisions(text="int8", can=Abilities(half=True, bfloat16=True))):
        load_t5(file, CPU, SPIECE)
    assert {weight.dtype for weight in given[0].parameters()} == {torch.bfloat16}
