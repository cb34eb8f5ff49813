"""BERT as a text encoder (Devlin et al. 2019), for Chinese models such as Taiyi: its tower and its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from torch import Tensor

from engine.foundation.json import parse_lenient
from engine.models.assembly import fill, unfilled
from engine.models.detect import ArchitectureError, Shapes
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.text.tower import HEAD_CHANNELS, Recipe

if TYPE_CHECKING:
    from transformers import BertConfig, BertModel

WORDS = "embeddings.word_embeddings.weight"
VOCABULARY = "vocab.txt"
START, END, UNKNOWN, PADDING = "[CLS]", "[SEP]", "[UNK]", "[PAD]"


def load_bert(weights: Mapping[str, Tensor], dtype: torch.dtype | None, where: str) -> BertModel:
    """The tower with `weights`, with or without a leading `bert.`, without its pooling layer.

    Raises `ArchitectureError` if tensors are missing or misfit.
    """
    from transformers import BertModel  # late: see `text.tower`

    named = {name.removeprefix("bert."): tensor for name, tensor in weights.items()}
    try:
        config = _config({name: tuple(tensor.shape) for name, tensor in named.items()})
    except KeyError as error:
        raise ArchitectureError("the text encoder is incomplete", where=where, expected=str(error.args[0])) from error
    with unfilled():
        net = BertModel(config, add_pooling_layer=False)
    fill(net, named, dtype, where)
    net.embeddings.token_type_ids = torch.zeros_like(net.embeddings.position_ids)  # one text, no second part
    return net


def read_bert_tokenizer(folder: Path) -> tuple[ClipTokenizer, Recipe]:
    """The tokenizer of a folder with `vocab.txt`, and how rows of its ids are laid out.

    Rows are as long as `tokenizer_config.json` says, 512 tokens if it does not. Raises `ArchitectureError` for a
    vocabulary without BERT's special tokens.
    """
    words = (folder / VOCABULARY).read_text("utf-8").splitlines()
    vocabulary = {word: number for number, word in enumerate(words)}
    missing = [word for word in (START, END, UNKNOWN, PADDING) if word not in vocabulary]
    if missing:
        raise ArchitectureError("this is no vocabulary of BERT", where=VOCABULARY, expected=", ".join(missing))
    settings = folder / "tokenizer_config.json"
    told = parse_lenient(settings.read_bytes(), where=settings.name) if settings.is_file() else {}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = BertNormalizer(lowercase=bool(told.get("do_lower_case", True)))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    length = told.get("model_max_length", 512)
    recipe = Recipe(
        "bert",
        "gelu",
        padding=vocabulary[PADDING],
        start=vocabulary[START],
        end=vocabulary[END],
        length=int(length) if isinstance(length, int) and 2 < length <= 512 else 512,
    )
    return ClipTokenizer(tokenizer), recipe


def _config(shapes: Shapes) -> BertConfig:
    from transformers import BertConfig

    vocabulary, width = shapes[WORDS]
    layers = 0
    while f"encoder.layer.{layers}.attention.self.query.weight" in shapes:
        layers += 1
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // HEAD_CHANNELS),
        intermediate_size=shapes["encoder.layer.0.intermediate.dense.weight"][0],
        max_position_embeddings=shapes["embeddings.position_embeddings.weight"][0],
        type_vocab_size=shapes["embeddings.token_type_embeddings.weight"][0],
    )
