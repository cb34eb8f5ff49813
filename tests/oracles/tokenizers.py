"""transformers' tokenizers, their vocabularies built here."""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import Any

from transformers import CLIPTokenizer


def clip() -> Any:
    """CLIP's, from the merge table alone."""
    data = files("engine.models.text").joinpath("data/clip_merges.txt.gz").read_bytes()
    merges = [tuple(line.split()) for line in gzip.decompress(data).decode().splitlines()]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
