"""The encoder of T5 (Raffel et al. 2020) as a text encoder, of any width and depth: Imagen's, PixArt's.

As transformers has it, without the decoder. Its states grow too large for half precision, so it never computes in that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.foundation.bounds import within
from engine.memory.handle import ModelHandle
from engine.memory.precision import PRECISIONS, quantised, stored
from engine.memory.work import Given, Work
from engine.models.assembly import fill, unfilled
from engine.models.detect import ArchitectureError, Shapes, detect, wrong_kind
from engine.models.folder import INDEX_SUFFIX, part_weights, sharded
from engine.models.text.sentencepiece import END, PADDING, T5Tokenizer
from engine.models.weights import open_weights
from engine.tensors.values import Conditioning, Prompt

if TYPE_CHECKING:
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Stack

LENGTH = 77  # tokens of a prompt for DeepFloyd IF; 120 and 300 for PixArt-alpha and -sigma
MOST_TOKENS = 512
_TABLE = "embed_tokens.weight"
_ATTENTION = "block.0.layer.0.SelfAttention"
_FEED_FORWARD = "block.0.layer.1.DenseReluDense"


class FeedForward(nn.Module):
    """Two layers with a gate (T5 1.1, Shazeer 2020) or without one (T5 1.0).

    It takes the place of transformers' own, which rounds what its last layer sees to the type that the weights lie in,
    and that may be narrower than the type it computes in.
    """

    def __init__(self, width: int, hidden: int, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        if gated:
            self.wi_0, self.wi_1 = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        else:
            self.wi = nn.Linear(width, hidden, bias=False)
        self.wo = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x) if self.gated else F.relu(self.wi(x))
        out: Tensor = self.wo(h)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class T5Encoder:
    """Turns texts into conditioning."""

    socket: ClassVar[str] = "T5"

    net: ModelHandle[T5Stack]
    tokenizer: T5Tokenizer

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    @property
    def width(self) -> int:
        """Channels of a token state."""
        with self.net.look() as net:
            return int(net.config.d_model)

    def encode(self, text: str, length: int = LENGTH, *, trimmed: bool = False) -> Conditioning:
        """Token states `(1, length, D)` float32 of `text`, which is cut to `length` tokens or padded to them.

        The end token counts; attention leaves padding out. `trimmed` gives the states of the text alone, `(1, n, D)`,
        which is what cross-attention with a mask would look at. Raises `BoundsError` for lengths beyond 1 to 512.
        """
        within("length", length, 1, MOST_TOKENS)
        ids = [*self.tokenizer.encode(text)[: length - 1], END]
        row = torch.full((1, length), PADDING)
        row[0, : len(ids)] = torch.tensor(ids)
        mask = (torch.arange(length) < len(ids)).long()[None]
        states = self.states(row, mask)
        return Conditioning((Prompt(states[:, : len(ids)] if trimmed else states),))

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States `(B, T, D)` float32 of rows of ids `(B, T)`; `mask` is 1 where they count and 0 where they pad."""

        def read(net: T5Stack, _given: Given) -> Tensor:
            device = self.net.device
            return _states(net, ids.to(device), mask.to(device)).float().cpu()

        return self.net.run(lambda: Work((tuple(ids.shape),), _states, (ids, mask), once=True), read)


def load_t5(path: Path, device: torch.device, tokenizer: Path, dtype: torch.dtype | None = None) -> T5Encoder:
    """Load an encoder from a file of its own, or of several with an index, with the tokenizer of a file or a folder.

    `path` is the file, the index, or a folder as diffusers has it.
    It computes in `dtype`; if that is None, as the run says (see `memory.precision`), which is never in float16. Raises
    `ArchitectureError` for files of another kind, `TokenizerError`, and what `open_weights` raises.
    """
    weights = _weights(path)
    if not any(name.endswith(f"encoder.{_ATTENTION}.q.weight") for name in weights):
        raise wrong_kind(path, detect(_shapes(weights)), "a T5 encoder")
    types = PRECISIONS.get().of("t5", device)
    net = t5_of(stored(weights, types.built if dtype is None else None), dtype or types.compute, path.name)
    if types.int8 and dtype is None:
        quantised(net, "--int8-text-enc")
    return T5Encoder(ModelHandle(net, device), T5Tokenizer.read(tokenizer))


def t5_of(weights: Mapping[str, Tensor], dtype: torch.dtype, where: str) -> T5Stack:
    """The encoder of `weights`, which may have a decoder, too. Raises `ArchitectureError`."""
    from transformers import T5EncoderModel  # late: see `text.tower`

    named = _named(weights)
    try:
        config = t5_config(_shapes(named))
    except KeyError as error:
        raise ArchitectureError("the text encoder is incomplete", where=where, expected=str(error.args[0])) from error
    with unfilled():
        net = T5EncoderModel(config).encoder
        for block in net.block:
            block.layer[1].DenseReluDense = FeedForward(config.d_model, config.d_ff, config.is_gated_act)
    return fill(net, named, dtype, where, narrow=dtype != torch.float16)


def t5_config(shapes: Shapes) -> T5Config:
    """The encoder's shape, from names that begin with `block.`. Raises `KeyError`."""
    from transformers import T5Config

    vocabulary, width = shapes[_TABLE]
    buckets, heads = shapes[f"{_ATTENTION}.relative_attention_bias.weight"]
    layers = 0
    while f"block.{layers}.layer.0.SelfAttention.q.weight" in shapes:
        layers += 1
    gated = f"{_FEED_FORWARD}.wi_0.weight" in shapes
    return T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=shapes[f"{_ATTENTION}.q.weight"][0] // heads,
        d_ff=shapes[f"{_FEED_FORWARD}.wo.weight"][1],
        num_layers=layers,
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu" if gated else "relu",
        dropout_rate=0.0,
    )


def _weights(path: Path) -> Mapping[str, Tensor]:
    if path.is_dir():
        return part_weights(path)
    return sharded(path) if path.name.endswith(INDEX_SUFFIX) else open_weights(path)


def _shapes(weights: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def _named(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors without `encoder.` and whatever stands before it; the table may be the decoder's, too."""
    start = next((name.split("encoder.block.")[0] for name in weights if "encoder.block." in name), "")
    inner = f"{start}encoder."
    named = {name.removeprefix(inner): weights[name] for name in weights if name.startswith(inner)}
    if _TABLE not in named and f"{start}shared.weight" in weights:
        named[_TABLE] = weights[f"{start}shared.weight"]
    return named


def _states(net: T5Stack, ids: Tensor, mask: Tensor) -> Tensor:
    # who sees whom, as a map: in a row of marks it would be looked whether any pads, and so it could not be traced
    seen = mask.bool()[:, None, None].expand(-1, 1, ids.shape[1], -1)
    states: Tensor = net(input_ids=ids, attention_mask=seen).last_hidden_state
    return states
