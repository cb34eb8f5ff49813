"""The CLIP text encoder of Stable Diffusion 1.x: prompts to conditioning.

Source: Radford et al. 2021 (CLIP ViT-L text tower), Rombach et al. 2022. Prompts of any length are cut into chunks of
75 tokens that are encoded apart and joined; weights move a token's state along the line from its state in the empty
prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from engine.foundation.errors import EaselError
from engine.memory.handle import ModelHandle
from engine.models.text.prompt import CHUNK, Embedding, Weighted, chunks, parse, split_embeddings
from engine.models.text.tokenizer import END, START, ClipTokenizer
from engine.tensors.values import Conditioning, Prompt

Token: TypeAlias = int | Tensor
Embeddings: TypeAlias = Callable[[str], Tensor | None]

CLIP_HEAD_CHANNELS = 64


class EmbeddingError(EaselError):
    """A textual inversion that does not exist or does not fit."""

    code: ClassVar[str] = "bad_embedding"


@dataclass(frozen=True, slots=True, eq=False)
class TextEncoder:
    """Turns prompts into conditioning.

    `last_layer` is -1 for the last transformer layer, -2 for the one before (clip skip 2), and so on. `embeddings`
    gives the vectors `(n, D)` of a textual inversion by name, None if there is none.
    """

    socket: ClassVar[str] = "CLIP"

    net: ModelHandle[CLIPTextModel]
    tokenizer: ClipTokenizer
    embeddings: Embeddings
    last_layer: int = -1

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def with_last_layer(self, layer: int) -> TextEncoder:
        """The same encoder, read out at `layer` (-1 to -24; beyond the first layer means the first)."""
        return replace(self, last_layer=layer)

    def encode(self, text: str) -> Conditioning:
        """Token states `(1, 77 * chunks, D)` and the pooled state `(1, D)` of the first chunk."""
        laid = chunks([group for segment in parse(text) for group in self._groups(segment.text, segment.weight)])
        weighted = any(token.weight != 1.0 for chunk in laid for token in chunk)
        rows = [[token.token for token in chunk] for chunk in laid]
        states, pooled = self._states([*rows, []] if weighted else rows)
        if weighted:
            weights = torch.ones(len(laid), CHUNK + 2, 1)
            for row, chunk in enumerate(laid):
                weights[row, 1 : len(chunk) + 1, 0] = torch.tensor([token.weight for token in chunk])
            empty, states = states[-1:], states[:-1]
            states = empty + (states - empty) * weights.to(states)
        return Conditioning((Prompt(states.reshape(1, -1, states.shape[-1]), pooled[:1]),))

    def _groups(self, text: str, weight: float) -> Iterator[list[Weighted[Token]]]:
        for part in split_embeddings(text):
            tokens: Sequence[Token] = (
                list(self._embedding(part.name)) if isinstance(part, Embedding) else self.tokenizer.encode(part)
            )
            yield [Weighted(token, weight) for token in tokens]

    def _embedding(self, name: str) -> Tensor:
        vectors = self.embeddings(name)
        if vectors is None:
            raise EmbeddingError("there is no such embedding", where=f"embedding:{name}", hint="See models/embeddings.")
        with self.net.lease() as net:
            width = net.config.hidden_size
        if vectors.ndim != 2 or vectors.shape[1] != width:
            raise EmbeddingError(
                "this embedding is for another text encoder",
                where=f"embedding:{name}",
                expected=f"vectors of width {width}",
                got=f"shape {tuple(vectors.shape)}",
            )
        return vectors

    def _states(self, rows: Sequence[Sequence[Token]]) -> tuple[Tensor, Tensor]:
        """States `(B, 77, D)` after the final norm at `last_layer`, and pooled states `(B, D)`, of rows of tokens."""
        ids = torch.full((len(rows), CHUNK + 2), END)
        vectors: dict[tuple[int, int], Tensor] = {}
        for row, tokens in enumerate(rows):
            ids[row, 0] = START
            for place, token in enumerate(tokens, start=1):
                if isinstance(token, Tensor):
                    vectors[row, place] = token
                    ids[row, place] = 0
                else:
                    ids[row, place] = token
        with self.net.lease() as net, _spliced(net.get_input_embeddings(), vectors):
            out = net(input_ids=ids.to(self.net.device), output_hidden_states=True)
            hidden = out.hidden_states[max(self.last_layer, 1 - len(out.hidden_states))]
            norm = _final_norm(net)
            ends = (ids == END).int().argmax(dim=1)
            states, last = norm(hidden), norm(out.hidden_states[-1])
            return states, last[torch.arange(len(rows)), ends.to(last.device)]


def build_text_net(shapes: Mapping[str, tuple[int, ...]]) -> CLIPTextModel:
    """A CLIP text tower of the shape of `shapes` (names from `embeddings.` on), without weights: on the meta device."""
    vocabulary, width = shapes["embeddings.token_embedding.weight"]
    layers = 0
    while f"encoder.layers.{layers}.layer_norm1.weight" in shapes:
        layers += 1
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=shapes["encoder.layers.0.mlp.fc1.weight"][0],
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // CLIP_HEAD_CHANNELS),
        max_position_embeddings=shapes["embeddings.position_embedding.weight"][0],
        hidden_act="quick_gelu",
        projection_dim=width,
        bos_token_id=START,
        eos_token_id=END,
        pad_token_id=END,
    )
    with torch.device("meta"):
        return CLIPTextModel(config)


def _final_norm(net: CLIPTextModel) -> nn.Module:
    name = next(name for name, _ in net.named_modules() if name.rpartition(".")[2] == "final_layer_norm")
    norm: nn.Module = net.get_submodule(name)
    return norm


@contextmanager
def _spliced(table: nn.Module, vectors: Mapping[tuple[int, int], Tensor]) -> Iterator[None]:
    """Within the block, the embedding table answers with `vectors` at their (row, place)."""

    def splice(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.clone()
        for (row, place), vector in vectors.items():
            output[row, place] = vector.to(output)
        return output

    hook = table.register_forward_hook(splice) if vectors else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()
