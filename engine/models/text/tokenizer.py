"""The CLIP tokenizer (Radford et al. 2021): lower-cased byte-pair encoding over a table of 48,894 merges.

The vocabulary follows from the merges: 256 byte characters, the same with an end-of-word mark, one entry a merge, and
the two special tokens. Text is brought to NFC, runs of white space become one space, and words are split before the
merges apply.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace, Sequence
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

from engine.foundation.errors import EaselError
from engine.foundation.json import parse_lenient

START, END = 49406, 49407
_SPECIAL = ["<|startoftext|>", "<|endoftext|>"]
_WORD_END = "</w>"
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class TokenizerError(EaselError):
    """Files of a tokenizer that cannot be read."""

    code: ClassVar[str] = "bad_tokenizer"


class ClipTokenizer:
    """Text to token ids, without the start and end tokens (`START`, `END`)."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> ClipTokenizer:
        """The tokenizer of the bundled merge table."""
        merges = [(first, second) for first, second in (line.split(" ") for line in _merge_lines())]
        characters = _byte_characters()
        words = [*characters, *(c + _WORD_END for c in characters), *(first + second for first, second in merges)]
        words += _SPECIAL
        return ClipTokenizer(_tokenizer({word: number for number, word in enumerate(words)}, merges))

    @staticmethod
    def read(folder: Path) -> ClipTokenizer:
        """The tokenizer of a folder: `tokenizer.json`, or `vocab.json` and `merges.txt`, or else the bundled one.

        Raises `TokenizerError` for files that are damaged.
        """
        whole, vocabulary, merges = (folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt"))
        try:
            if whole.is_file():
                tokenizer = Tokenizer.from_str(whole.read_text("utf-8"))
                tokenizer.no_truncation()  # rows are laid out by whoever encodes
                tokenizer.no_padding()
                return ClipTokenizer(tokenizer)
            if vocabulary.is_file() and merges.is_file():
                lines = [line.split(" ") for line in merges.read_text("utf-8").splitlines() if line[:1] != "#" and line]
                words = parse_lenient(vocabulary.read_bytes(), where=vocabulary.name)
                return ClipTokenizer(_tokenizer(words, [(first, second) for first, second in lines]))
        except Exception as error:  # what the tokenizers library raises is plain Exception
            raise TokenizerError("this tokenizer cannot be read", where=folder.name, got=str(error)[:200]) from error
        return ClipTokenizer.load()

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; empty for empty text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _tokenizer(words: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    model = BPE(
        vocab=words,
        merges=merges,
        unk_token=_SPECIAL[1],
        continuing_subword_prefix="",
        end_of_word_suffix=_WORD_END,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = Sequence([NFC(), Replace(Regex(r"\s+"), " "), Lowercase()])
    split = Split(Regex(_WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = PreTokenizers([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.add_special_tokens(_SPECIAL)
    return tokenizer


def _merge_lines() -> list[str]:
    data = files("engine.models.text").joinpath("data/clip_merges.txt.gz").read_bytes()
    return gzip.decompress(data).decode("utf-8").splitlines()


def _byte_characters() -> list[str]:
    """One printable character for each byte: bytes that print stand for themselves, the rest follow from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
