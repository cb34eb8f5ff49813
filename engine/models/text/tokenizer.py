"""The CLIP tokenizer (Radford et al. 2021): lower-cased byte-pair encoding over a table of 48,894 merges.

The vocabulary follows from the merges: 256 byte characters, the same with an end-of-word mark, one entry a merge, and
the two special tokens. Text is brought to NFC, runs of white space become one space, and words are split before the
merges apply.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib.resources import files

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace, Sequence
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

START, END = 49406, 49407
_WORD_END = "</w>"
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


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
        words += ["<|startoftext|>", "<|endoftext|>"]
        model = BPE(
            vocab={word: number for number, word in enumerate(words)},
            merges=merges,
            unk_token="<|endoftext|>",
            continuing_subword_prefix="",
            end_of_word_suffix=_WORD_END,
        )
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = Sequence([NFC(), Replace(Regex(r"\s+"), " "), Lowercase()])
        split = Split(Regex(_WORDS), behavior="removed", invert=True)
        tokenizer.pre_tokenizer = PreTokenizers([split, ByteLevel(add_prefix_space=False, use_regex=False)])
        tokenizer.add_special_tokens(words[-2:])
        return ClipTokenizer(tokenizer)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; empty for empty text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _merge_lines() -> list[str]:
    data = files("engine.models.text").joinpath("data/clip_merges.txt.gz").read_bytes()
    return gzip.decompress(data).decode("utf-8").splitlines()


def _byte_characters() -> list[str]:
    """One printable character for each byte: bytes that print stand for themselves, the rest follow from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
