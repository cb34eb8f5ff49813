"""The CLIP text encoders of the Stable Diffusion families: prompts to conditioning.

Source: Radford et al. 2021 (CLIP), Rombach et al. 2022, Podell et al. 2023 (SDXL's pair of towers). Prompts of any
length are cut into chunks of 75 tokens that are encoded apart and joined; weights move a token's state along the line
from its state in the empty prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, TypeAlias

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.memory.work import Given, Work
from engine.models.adapters.adapter import Adapter, Stack
from engine.models.adapters.applying import ChangedWeights, FileStack
from engine.models.adapters.hooks import Hooks, text_stacks
from engine.models.text.embeddings import vectors_for
from engine.models.text.prompt import Embedding, Segment, Weighted, chunks, parse, words
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.text.tower import CLIP_L, PLAIN_ATTENTION, AttentionFactors, Recipe, Tower, tower_states, tower_width
from engine.tensors.values import Conditioning, Prompt

Token: TypeAlias = int | Tensor
Embeddings: TypeAlias = Callable[[str], tuple[Tensor, ...] | None]


class PromptEncoder(Protocol):
    """What every text encoder can do that goes over a CLIP link: CLIP, and T5 where a model has that instead."""

    socket: ClassVar[str] = "CLIP"

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        ...

    def encode(self, text: str) -> Conditioning:
        """The conditioning of a prompt."""
        ...


@dataclass(frozen=True, slots=True)
class TextHooks:
    """Hooks of a text encoder: whether its prompts take them along, and whether their keyframes count in it."""

    hooks: Hooks = field(default_factory=Hooks)
    for_prompts: bool = True
    scheduled: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TextEncoder:
    """Turns prompts into conditioning.

    `last_layer` is -1 for the last transformer layer, -2 for the one before (clip skip 2), and so on. `embeddings`
    gives the vectors `(n, D)` of a textual inversion by name, for each width of encoder, None if there is none.
    `adapters` change the weights for this encoder alone; `hooks` do too, and may go on to the prompts; `changed` keeps
    the changed weights. `recipe` says how the family reads the tower. With a `second` tower (SDXL) its states stand
    behind this one's along D, and its pooled state counts.
    """

    socket: ClassVar[str] = "CLIP"

    net: ModelHandle[Tower]
    tokenizer: ClipTokenizer
    embeddings: Embeddings
    last_layer: int = -1
    attention: AttentionFactors = PLAIN_ATTENTION
    recipe: Recipe = CLIP_L
    second: TextEncoder | None = None
    adapters: Stack = ()
    hooks: TextHooks = TextHooks()
    hooked: FileStack = ()
    changed: ChangedWeights = field(default_factory=ChangedWeights, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights, of the adapters, and of the changed weights that are kept."""
        own = self.net.nbytes + sum(adapter.nbytes for adapter, _ in self.adapters) + self.changed.nbytes
        return own + (self.second.nbytes if self.second else 0)

    @property
    def towers(self) -> tuple[TextEncoder, ...]:
        """This encoder, and the second one if there is."""
        return (self,) if self.second is None else (self, self.second)

    def with_adapter(self, adapter: Adapter, strength: float, second: Adapter | None = None) -> TextEncoder:
        """The same encoder with weights changed by one more adapter, which must be fitted to its net.

        `second` is fitted to the second tower.
        """
        other = self.second
        if other is not None and second is not None:
            other = other.with_adapter(second, strength)
        return replace(self, adapters=(*self.adapters, (adapter, strength)), second=other)

    def with_hooks(self, hooks: TextHooks) -> TextEncoder:
        """The same encoder with these hooks instead of those it has."""
        second = self.second and replace(self.second, changed=self.second.changed.anew())
        return replace(self, hooks=hooks, changed=self.changed.anew(), second=second)

    def through_hooks(self, encode: Callable[[TextEncoder], Conditioning]) -> Conditioning:
        """What `encode` makes of a prompt with the hooks applied, in every range of their keyframes."""
        if not self.hooks.hooks.hooks:
            return encode(self)
        prompts = []
        for start, end, stack in text_stacks(self.hooks.hooks, scheduled=self.hooks.scheduled):
            second = self.second and replace(self.second, hooked=stack)
            plain = replace(self, hooks=TextHooks(), hooked=stack, second=second)
            parts = (replace(p, start=max(p.start, start), end=min(p.end, end)) for p in encode(plain).prompts)
            prompts += [part for part in parts if part.start < part.end]
        if self.hooks.for_prompts:
            prompts = [self.hooks.hooks.added_to(prompt) for prompt in prompts]
        return Conditioning(tuple(prompts))

    def with_last_layer(self, layer: int) -> TextEncoder:
        """The same encoder, read out at `layer` (-1 to -24; one that the tower does not have means the last)."""
        return replace(self, last_layer=layer, second=self.second and self.second.with_last_layer(layer))

    def with_attention(self, factors: AttentionFactors) -> TextEncoder:
        """The same encoder with the parts of all attention times `factors`, besides those it has already."""
        second = self.second and self.second.with_attention(factors)
        return replace(self, attention=self.attention.times(factors), second=second)

    def encode(self, text: str, second_text: str | None = None) -> Conditioning:
        """Token states `(1, 77 * chunks, D)` and the pooled state `(1, P)` of the first chunk, float32.

        A second tower reads `second_text`, if that is given, and `text` otherwise; the shorter of the two is filled up
        with empty chunks. With hooks whose keyframes count there is a prompt for every range of them. Raises
        `EmbeddingError` for a textual inversion that is not there or of another width.
        """
        return self.through_hooks(lambda encoder: Conditioning((encoder._prompt(text, second_text),)))

    def _prompt(self, text: str, second_text: str | None) -> Prompt:
        laid = self._laid(text)
        if self.second is None:
            return Prompt(*self._encoded(laid))
        other = self.second._laid(text if second_text is None else second_text)
        count = max(len(laid), len(other))
        first, _ = self._encoded([*laid, *[[]] * (count - len(laid))])
        second, pooled = self.second._encoded([*other, *[[]] * (count - len(other))])
        return Prompt(torch.cat([first, second], dim=-1), pooled)

    def _laid(self, text: str) -> list[list[Weighted[Token]]]:
        groups = [group for segment in parse(text) for group in self._groups(segment)]
        return chunks(groups, self.recipe.length - 2)

    def _encoded(self, laid: Sequence[Sequence[Weighted[Token]]]) -> tuple[Tensor, Tensor]:
        rows = [[token.token for token in chunk] for chunk in laid]
        weighted = any(token.weight != 1.0 for chunk in laid for token in chunk)
        states, pooled = self.states([*rows, []] if weighted else rows)
        if weighted:
            empty, states = states[-1:], states[:-1]
            states = empty + (states - empty) * token_weights(laid, self.recipe.length)
        return states.reshape(1, -1, states.shape[-1]), pooled[:1]

    def _groups(self, segment: Segment) -> Iterator[list[Weighted[Token]]]:
        """The tokens of each word or embedding: what stays together where a chunk ends."""
        for part in words(segment.text):
            tokens: Sequence[Token] = (
                list(self.vectors(part.name)) if isinstance(part, Embedding) else self.tokenizer.encode(part)
            )
            yield [Weighted(token, segment.weight) for token in tokens]

    def vectors(self, name: str) -> Tensor:
        """The vectors `(n, D)` of a textual inversion. Raises `EmbeddingError`."""
        with self.net.look() as net:
            width = tower_width(net)
        return vectors_for(name, self.embeddings(name), width)

    def states(self, rows: Sequence[Sequence[Token]]) -> tuple[Tensor, Tensor]:
        """This tower's states `(B, 77, D)` and pooled states `(B, P)` of rows of up to 75 tokens (BERT: 510)."""
        ids = torch.full((len(rows), self.recipe.length), self.recipe.padding)
        ids[:, 0] = self.recipe.start
        vectors: dict[tuple[int, int], Tensor] = {}
        for row, tokens in enumerate(rows):
            for place, token in enumerate(tokens, start=1):
                if isinstance(token, Tensor):
                    vectors[row, place] = token
                    ids[row, place] = 0
                else:
                    ids[row, place] = token
            ids[row, len(tokens) + 1] = self.recipe.end

        def read(net: Tower, _given: Given) -> tuple[Tensor, Tensor]:
            inputs = (ids.to(self.net.device), vectors, self.last_layer, self.attention)
            states, pooled = tower_states(net, *inputs, self.recipe)
            return states.float().cpu(), pooled.float().cpu()

        def work() -> Work:
            return Work(
                (tuple(ids.shape), self.last_layer),
                lambda net, ids: tower_states(net, ids, {}, self.last_layer, self.attention, self.recipe),
                (ids,),
                once=True,
            )

        return self.net.run(work, read, self.changed.using(self.adapters, self.hooked))


def token_weights(laid: Sequence[Sequence[Weighted[Token]]], length: int = 77) -> Tensor:
    """Weights `(B, length, 1)` of the tokens of each chunk; the start, the end and the padding weigh 1."""
    weights = torch.ones(len(laid), length, 1)
    for row, chunk in enumerate(laid):
        weights[row, 1 : len(chunk) + 1, 0] = torch.tensor([token.weight for token in chunk])
    return weights
