"""Tokenizers of T5: SentencePiece's unigram model, from `tokenizer.json` or from a bare `spiece.model`.

Source: Kudo 2018 (subword regularisation), Kudo and Richardson 2018 (SentencePiece). Its model file is a protocol
buffer, read here by hand: a few fields of `sentencepiece_model.proto` say all that is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import Unigram
from tokenizers.normalizers import Normalizer, Precompiled, Replace, Sequence, Strip
from tokenizers.pre_tokenizers import Metaspace

from engine.models.text.tokenizer import TokenizerError

FILES = ("tokenizer.json", "spiece.model", "tokenizer.model")
END, PADDING = 1, 0  # T5's
_UNIGRAM, _NORMAL, _UNKNOWN, _USER_DEFINED, _BYTE = 1, 1, 2, 4, 6


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a model file says: pieces with their scores and types, and how text is brought into shape before."""

    pieces: tuple[tuple[str, float, int], ...]
    characters: bytes
    collapses: bool
    model: int


class T5Tokenizer:
    """Text to token ids, without the end token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @staticmethod
    def read(path: Path) -> T5Tokenizer:
        """The tokenizer of a file, or of a folder with one of `FILES`. Raises `TokenizerError`."""
        found = path
        if path.is_dir():
            found = next((path / name for name in FILES if (path / name).is_file()), path)
        if not found.is_file():
            raise TokenizerError(
                "there is no tokenizer",
                where=path.name,
                expected=" or ".join(FILES[:2]),
                hint="T5 needs the tokenizer that it was trained with: it is beside its weights in diffusers' folders.",
            )
        try:
            if found.suffix == ".json":
                tokenizer = Tokenizer.from_str(found.read_text("utf-8"))
                tokenizer.no_truncation()  # rows are laid out by whoever encodes
                tokenizer.no_padding()
                return T5Tokenizer(tokenizer)
            return T5Tokenizer(_built(read_pieces(found.read_bytes())))
        except Exception as error:  # what the tokenizers library raises is plain Exception
            raise TokenizerError("this tokenizer cannot be read", where=found.name, got=str(error)[:200]) from error

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; empty for empty text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def tokenizer_beside(path: Path) -> Path:
    """Where the tokenizer of an encoder is: in a folder called like its file, beside it, or in `tokenizer` next to it.

    The first of these places if none has one.
    """
    own = path if path.is_dir() else path.with_suffix("")
    places = (own, path.parent, path.parent / "tokenizer")
    return next((place for place in places if any((place / name).is_file() for name in FILES)), own)


def read_pieces(content: bytes) -> Pieces:
    """The fields of a SentencePiece model. Raises `ValueError` for what is none."""
    pieces: list[tuple[str, float, int]] = []
    characters, collapses, model = b"", True, _UNIGRAM
    for number, value in _fields(content):
        match number, value:
            case 1, bytes():
                own = dict(_fields(value))
                piece, score = own.get(1, b""), own.get(2, 0.0)
                if not isinstance(piece, bytes) or not isinstance(score, float):
                    raise ValueError("a piece without text or score")
                pieces.append((piece.decode("utf-8"), score, int(own.get(3, _NORMAL))))
            case 2, bytes():
                model = int(dict(_fields(value)).get(3, _UNIGRAM))
            case 3, bytes():
                own = dict(_fields(value))
                found = own.get(2, b"")
                characters, collapses = (found if isinstance(found, bytes) else b""), bool(own.get(4, 1))
    if not pieces:
        raise ValueError("it holds no pieces")
    return Pieces(tuple(pieces), characters, collapses, model)


def _built(found: Pieces) -> Tokenizer:
    if found.model != _UNIGRAM:
        raise ValueError("it is no unigram model")
    unknown = next((place for place, (_, _, kind) in enumerate(found.pieces) if kind == _UNKNOWN), None)
    bytewise = any(kind == _BYTE for *_, kind in found.pieces)
    vocabulary = [(piece, score) for piece, score, _ in found.pieces]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=unknown, byte_fallback=bytewise))
    steps: list[Normalizer] = [Precompiled(found.characters)] if found.characters else []
    if found.collapses:
        steps += [Strip(), Replace(Regex(" {2,}"), " ")]
    if steps:
        tokenizer.normalizer = Sequence(steps)
    tokenizer.pre_tokenizer = Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_tokens([AddedToken(piece) for piece, _, kind in found.pieces if kind == _USER_DEFINED])
    return tokenizer


def _fields(content: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """The numbers and values of a message's fields: integers, floats, and bytes of texts and of messages within."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        match key & 7:
            case 0:
                value, place = _varint(content, place)
                yield key >> 3, value
            case 1:
                yield key >> 3, struct.unpack_from("<d", content, place)[0]
                place += 8
            case 2:
                length, place = _varint(content, place)
                if place + length > len(content):
                    raise ValueError("it ends too early")
                yield key >> 3, content[place : place + length]
                place += length
            case 5:
                yield key >> 3, struct.unpack_from("<f", content, place)[0]
                place += 4
            case kind:
                raise ValueError(f"a field of kind {kind}")


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    value = shift = 0
    while True:
        if place >= len(content) or shift > 63:
            raise ValueError("it ends too early")
        byte = content[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:
            return value, place
