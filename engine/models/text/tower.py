"""The text towers of CLIP ViT-L (Radford et al. 2021) and OpenCLIP (ViT-H, bigG), of any width and depth.

As transformers has them; the files of OpenCLIP's own layout are renamed (`open_clip`). Importing transformers takes
twice as long as importing torch, so only functions that build its nets do it, here and in the other modules that do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call

from engine.foundation.bounds import within
from engine.models.assembly import fill, unfilled
from engine.models.detect import ArchitectureError, Shapes
from engine.models.text.tokenizer import END, START

if TYPE_CHECKING:
    from transformers import BertModel, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

HEAD_CHANNELS = 64
PROJECTION = "text_projection.weight"
_PREFIX = "text_model."

Tower: TypeAlias = "CLIPTextModel | CLIPTextModelWithProjection | BertModel"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a family reads a tower: which one it is, its activation, how rows of tokens are laid out, and where it is
    read out.

    A row of `length` tokens begins with `start`; `padding` follows `end`. States of the layer `last_layer` go through
    the final norm if `normed`; pooled states always do.
    """

    name: Literal["l", "h", "g", "bert"] = "l"
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    padding: int = END
    last_layer: int = -1
    normed: bool = True
    start: int = START
    end: int = END
    length: int = 77


CLIP_L = Recipe()
CLIP_H = Recipe("h", "gelu", padding=0, last_layer=-2)  # SD2 (published configuration: the layer before the last)
SDXL_L = Recipe(last_layer=-2, normed=False)
SDXL_G = Recipe("g", "gelu", padding=0, last_layer=-2, normed=False)


@dataclass(frozen=True, slots=True)
class AttentionFactors:
    """What queries, keys, values and results of all attention are multiplied by, 0..10 each."""

    q: float = 1.0
    k: float = 1.0
    v: float = 1.0
    out: float = 1.0

    def __post_init__(self) -> None:
        for name in ("q", "k", "v", "out"):
            within(name, getattr(self, name), 0.0)

    def times(self, other: AttentionFactors) -> AttentionFactors:
        """Both after each other."""
        return AttentionFactors(self.q * other.q, self.k * other.k, self.v * other.v, self.out * other.out)


PLAIN_ATTENTION = AttentionFactors()


def import_towers() -> None:
    """Have the nets of the towers imported, for those who have the time now and will load one later."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection  # noqa: F401


def load_tower(
    weights: Mapping[str, Tensor], dtype: torch.dtype | None, where: str, activation: str = "quick_gelu"
) -> Tower:
    """The tower with `weights`, named as in SD1 files, with or without the leading `text_model.`.

    Where there is a projection of pooled states it is part of the tower. Raises `ArchitectureError` if tensors are
    missing or misfit.
    """
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    named = {name.removeprefix(_PREFIX): tensor for name, tensor in weights.items()}
    try:
        config = tower_config({name: tuple(tensor.shape) for name, tensor in named.items()}, activation)
    except KeyError as error:
        raise ArchitectureError("the text encoder is incomplete", where=where, expected=str(error.args[0])) from error
    with unfilled():
        net: Tower = CLIPTextModelWithProjection(config) if PROJECTION in named else CLIPTextModel(config)
    # transformers 4 has the prefix in memory, transformers 5 only where there is a projection
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in net.state_dict()) else ""
    full = {(name if name == PROJECTION else prefix + name): tensor for name, tensor in named.items()}
    return fill(net, full, dtype, where, narrow=True)


def tower_config(shapes: Shapes, activation: str = "quick_gelu") -> CLIPTextConfig:
    """The tower's shape, from names that begin with `embeddings.` or `encoder.`. Raises `KeyError`."""
    from transformers import CLIPTextConfig

    vocabulary, width = shapes["embeddings.token_embedding.weight"]
    layers = 0
    while f"encoder.layers.{layers}.layer_norm1.weight" in shapes:
        layers += 1
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=shapes["encoder.layers.0.mlp.fc1.weight"][0],
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // HEAD_CHANNELS),
        max_position_embeddings=shapes["embeddings.position_embedding.weight"][0],
        hidden_act=activation,
        projection_dim=shapes[PROJECTION][0] if PROJECTION in shapes else width,
        bos_token_id=START,
        eos_token_id=END,
        pad_token_id=END,
    )


def tower_width(net: Tower) -> int:
    """Channels of a token state."""
    return int(net.config.hidden_size)


def tower_states(
    net: Tower,
    ids: Tensor,
    vectors: Mapping[tuple[int, int], Tensor],
    last_layer: int,
    factors: AttentionFactors = PLAIN_ATTENTION,
    recipe: Recipe = CLIP_L,
) -> tuple[Tensor, Tensor]:
    """States `(B, T, D)` at `last_layer`, after the final norm if the recipe says so, and pooled states `(B, P)`.

    `ids` `(B, T)`; `vectors` take the place of the token embeddings at their (row, place). `last_layer` counts from
    -1, the last; one that the tower does not have means the last after the norm, as in ComfyUI. Pooled is the state of
    the last layer at the first end token, after the norm, projected where the tower has a projection.
    """
    with _spliced(net.get_input_embeddings(), vectors):
        layers = _layers(net, ids, factors)
    norm = _final_norm(net)
    last = norm(layers[-1])
    if -last_layer >= len(layers) or (recipe.normed and last_layer == -1):
        chosen = last
    else:
        chosen = norm(layers[last_layer]) if recipe.normed else layers[last_layer]
    ends = (ids == recipe.end).int().argmax(dim=1)
    pooled = last[torch.arange(len(ids), device=ids.device), ends]
    return chosen, net.text_projection(pooled) if hasattr(net, "text_projection") else pooled


def _layers(net: Tower, ids: Tensor, factors: AttentionFactors) -> tuple[Tensor, ...]:
    """The states before each layer and after the last; `factors` hold for this call only."""
    inputs = {"input_ids": ids, "output_hidden_states": True}
    if factors == PLAIN_ATTENTION:
        plain: tuple[Tensor, ...] = net(**inputs).hidden_states
        return plain
    ends = {"q_proj": factors.q, "k_proj": factors.k, "v_proj": factors.v, "out_proj": factors.out}
    parts = ((name, weight, name.split(".")[-2]) for name, weight in net.named_parameters())
    weights = {name: weight.float() * ends[part] for name, weight, part in parts if part in ends}
    layers: tuple[Tensor, ...] = functional_call(net, weights, (), inputs).hidden_states
    return layers


def _final_norm(net: Tower) -> nn.Module:
    """The norm at the end of CLIP's towers; BERT's layers end with one each."""
    return next((module for name, module in net.named_modules() if name.endswith("final_layer_norm")), nn.Identity())


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
