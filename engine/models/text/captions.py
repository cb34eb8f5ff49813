"""T5 as the text encoder of a text-to-image model (PixArt), where other models have CLIP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NoReturn

import torch

from engine.foundation.errors import EaselError
from engine.models.text.sentencepiece import tokenizer_beside
from engine.models.text.t5 import T5Encoder, load_t5
from engine.tensors.values import Conditioning

LENGTH = 300  # tokens of a prompt: PixArt-sigma's; alpha was trained with 120


class CaptionError(EaselError, AttributeError):
    """Something that nodes do with CLIP and that T5 does not know."""

    code: ClassVar[str] = "no_clip"


@dataclass(frozen=True, slots=True, eq=False)
class CaptionEncoder:
    """Turns prompts of up to `length` tokens into conditioning, as they are: without weights and embeddings.

    Asking it for anything that only CLIP has raises `CaptionError`.
    """

    socket: ClassVar[str] = "CLIP"

    t5: T5Encoder
    length: int = LENGTH

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.t5.nbytes

    def encode(self, text: str) -> Conditioning:
        """The states of the prompt's own tokens `(1, n, D)`: padding, which a mask would hide, is left out.

        Prompts are lower-cased, as in training (Chen et al. 2023, published code).
        """
        return self.t5.encode(text.lower().strip(), self.length, trimmed=True)

    def __getattr__(self, name: str) -> NoReturn:
        raise CaptionError(
            "this text encoder is a T5, which this node cannot change",
            where="input clip",
            expected="a CLIP text encoder",
            got="T5",
            hint="Encode prompts with CLIPTextEncode or CLIPTextEncodePixArtAlpha.",
        )


def load_captions(path: Path, device: torch.device, length: int = LENGTH) -> CaptionEncoder:
    """The encoder of a file or a folder, with the tokenizer that lies with it: see `tokenizer_beside`.

    Raises what `load_t5` raises.
    """
    return CaptionEncoder(load_t5(path, device, tokenizer_beside(path)), length)
