"""The CLIP text encoder of Stable Diffusion 1.x: prompts to conditioning.

Source: Radford et al. 2021 (CLIP ViT-L text tower), Rombach et al. 2022. Prompts of any length are cut into chunks of
75 tokens that are encoded apart and joined; weights move a token's state along the line from its state in the empty
prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor
from transformers import CLIPTextModel

from engine.memory.handle import ModelHandle
from engine.models.adapters.adapter import Adapter, Stack
from engine.models.adapters.applying import ChangedWeights, FileStack
from engine.models.adapters.hooks import Hooks, text_stacks
from engine.models.text.embeddings import vectors_for
from engine.models.text.prompt import CHUNK, Embedding, Segment, Weighted, chunks, parse, words
from engine.models.text.tokenizer import END, START, ClipTokenizer
from engine.models.text.tower import PLAIN_ATTENTION, AttentionFactors, tower_states, tower_width
from engine.tensors.values import Conditioning, Prompt

Token: TypeAlias = int | Tensor
Embeddings: TypeAlias = Callable[[str], tuple[Tensor, ...] | None]


@dataclass(frozen=True, slots=True)
class TextHooks:
    """Hooks of a text encoder: whether its prompts take them along, and whether their keyframes count in it."""

    hooks: Hooks = Hooks()
    for_prompts: bool = True
    scheduled: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TextEncoder:
    """Turns prompts into conditioning.

    `last_layer` is -1 for the last transformer layer, -2 for the one before (clip skip 2), and so on. `embeddings`
    gives the vectors `(n, D)` of a textual inversion by name, for each width of encoder, None if there is none. `adapters` change the weights for
    this encoder alone; `hooks` do too, and may go on to the prompts; `changed` keeps the changed weights.
    """

    socket: ClassVar[str] = "CLIP"

    net: ModelHandle[CLIPTextModel]
    tokenizer: ClipTokenizer
    embeddings: Embeddings
    last_layer: int = -1
    attention: AttentionFactors = PLAIN_ATTENTION
    adapters: Stack = ()
    hooks: TextHooks = TextHooks()
    hooked: FileStack = ()
    changed: ChangedWeights = field(default_factory=ChangedWeights, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights, of the adapters, and of the changed weights that are kept."""
        return self.net.nbytes + sum(adapter.nbytes for adapter, _ in self.adapters) + self.changed.nbytes

    def with_adapter(self, adapter: Adapter, strength: float) -> TextEncoder:
        """The same encoder with weights changed by one more adapter, which must be fitted to its net."""
        return replace(self, adapters=(*self.adapters, (adapter, strength)))

    def with_hooks(self, hooks: TextHooks) -> TextEncoder:
        """The same encoder with these hooks instead of those it has."""
        return replace(self, hooks=hooks, changed=ChangedWeights())

    def through_hooks(self, encode: Callable[[TextEncoder], Conditioning]) -> Conditioning:
        """What `encode` makes of a prompt with an encoder whose hooks are applied, in every range of their keyframes."""
        if not self.hooks.hooks.hooks:
            return encode(self)
        prompts = []
        for start, end, stack in text_stacks(self.hooks.hooks, scheduled=self.hooks.scheduled):
            plain = replace(self, hooks=TextHooks(), hooked=stack)
            parts = (replace(p, start=max(p.start, start), end=min(p.end, end)) for p in encode(plain).prompts)
            prompts += [part for part in parts if part.start < part.end]
        if self.hooks.for_prompts:
            prompts = [self.hooks.hooks.added_to(prompt) for prompt in prompts]
        return Conditioning(tuple(prompts))

    def with_last_layer(self, layer: int) -> TextEncoder:
        """The same encoder, read out at `layer` (-1 to -24; one that the tower does not have means the last)."""
        return replace(self, last_layer=layer)

    def with_attention(self, factors: AttentionFactors) -> TextEncoder:
        """The same encoder with the parts of all attention times `factors`, besides those it has already."""
        return replace(self, attention=self.attention.times(factors))

    def encode(self, text: str) -> Conditioning:
        """Token states `(1, 77 * chunks, D)` and the pooled state `(1, D)` of the first chunk, float32.

        With hooks whose keyframes count there is a prompt for every range of them. Raises `EmbeddingError` for a
        textual inversion that is not there or of another width.
        """
        return self.through_hooks(lambda encoder: encoder._encoded(text))

    def _encoded(self, text: str) -> Conditioning:
        laid = chunks([group for segment in parse(text) for group in self._groups(segment)])
        rows = [[token.token for token in chunk] for chunk in laid]
        weighted = any(token.weight != 1.0 for chunk in laid for token in chunk)
        states, pooled = self.states([*rows, []] if weighted else rows)
        if weighted:
            empty, states = states[-1:], states[:-1]
            states = empty + (states - empty) * token_weights(laid)
        return Conditioning((Prompt(states.reshape(1, -1, states.shape[-1]), pooled[:1]),))

    def _groups(self, segment: Segment) -> Iterator[list[Weighted[Token]]]:
        """The tokens of each word or embedding: what stays together where a chunk ends."""
        for part in words(segment.text):
            tokens: Sequence[Token] = (
                list(self.vectors(part.name)) if isinstance(part, Embedding) else self.tokenizer.encode(part)
            )
            yield [Weighted(token, segment.weight) for token in tokens]

    def vectors(self, name: str) -> Tensor:
        """The vectors `(n, D)` of a textual inversion. Raises `EmbeddingError`."""
        with self.net.lease() as net:
            width = tower_width(net)
        return vectors_for(name, self.embeddings(name), width)

    def states(self, rows: Sequence[Sequence[Token]]) -> tuple[Tensor, Tensor]:
        """States `(B, 77, D)` and pooled states `(B, D)` of rows of up to 75 tokens."""
        ids = torch.full((len(rows), CHUNK + 2), END)
        ids[:, 0] = START
        vectors: dict[tuple[int, int], Tensor] = {}
        for row, tokens in enumerate(rows):
            for place, token in enumerate(tokens, start=1):
                if isinstance(token, Tensor):
                    vectors[row, place] = token
                    ids[row, place] = 0
                else:
                    ids[row, place] = token
        with self.net.lease() as net, self.changed.applied(net, self.adapters, self.hooked):
            states, pooled = tower_states(net, ids.to(self.net.device), vectors, self.last_layer, self.attention)
        return states.float().cpu(), pooled.float().cpu()


def token_weights(laid: Sequence[Sequence[Weighted[Token]]]) -> Tensor:
    """Weights `(B, 77, 1)` of the tokens of each chunk; the start, the end and the padding weigh 1."""
    weights = torch.ones(len(laid), CHUNK + 2, 1)
    for row, chunk in enumerate(laid):
        weights[row, 1 : len(chunk) + 1, 0] = torch.tensor([token.weight for token in chunk])
    return weights
