"""The text tower of CLIP ViT-L (Radford et al. 2021), of any width and depth, as transformers has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import CLIPTextConfig, CLIPTextModel

from engine.foundation.bounds import within
from engine.models.assembly import fill
from engine.models.detect import ArchitectureError, Shapes
from engine.models.text.tokenizer import END, START

HEAD_CHANNELS = 64
_PREFIX = "text_model."


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


def load_tower(weights: Mapping[str, Tensor], dtype: torch.dtype | None, where: str) -> CLIPTextModel:
    """The tower with `weights`, named as in SD1 files, with or without the leading `text_model.`.

    Raises `ArchitectureError` if tensors are missing or misfit.
    """
    named = {name.removeprefix(_PREFIX): tensor for name, tensor in weights.items()}
    try:
        config = tower_config({name: tuple(tensor.shape) for name, tensor in named.items()})
    except KeyError as error:
        raise ArchitectureError("the text encoder is incomplete", where=where, expected=str(error.args[0])) from error
    with torch.device("meta"):
        net = CLIPTextModel(config)
    # transformers 4 has the prefix in memory, transformers 5 has not
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in net.state_dict()) else ""
    return fill(net, {prefix + name: tensor for name, tensor in named.items()}, dtype, where)


def tower_config(shapes: Shapes) -> CLIPTextConfig:
    """The tower's shape, from names that begin with `embeddings.` or `encoder.`. Raises `KeyError`."""
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
        hidden_act="quick_gelu",
        projection_dim=width,
        bos_token_id=START,
        eos_token_id=END,
        pad_token_id=END,
    )


def tower_width(net: CLIPTextModel) -> int:
    """Channels of a token state."""
    return int(net.config.hidden_size)


def tower_states(
    net: CLIPTextModel,
    ids: Tensor,
    vectors: Mapping[tuple[int, int], Tensor],
    last_layer: int,
    factors: AttentionFactors = PLAIN_ATTENTION,
) -> tuple[Tensor, Tensor]:
    """States `(B, T, D)` at `last_layer` and pooled states `(B, D)` of the last layer, both after the final norm.

    `ids` `(B, T)`; `vectors` take the place of the token embeddings at their (row, place). `last_layer` counts from
    -1, the last; one that the tower does not have means the last, as in ComfyUI. Pooled is the state at the first end
    token.
    """
    with _spliced(net.get_input_embeddings(), vectors):
        layers = _layers(net, ids, factors)
    norm = _final_norm(net)
    last = norm(layers[-1])
    chosen = last if last_layer == -1 or -last_layer >= len(layers) else norm(layers[last_layer])
    ends = (ids == END).int().argmax(dim=1)
    return chosen, last[torch.arange(len(ids), device=ids.device), ends]


def _layers(net: CLIPTextModel, ids: Tensor, factors: AttentionFactors) -> tuple[Tensor, ...]:
    """The states before each layer and after the last; `factors` hold for this call only."""
    inputs = {"input_ids": ids, "output_hidden_states": True}
    if factors == PLAIN_ATTENTION:
        plain: tuple[Tensor, ...] = net(**inputs).hidden_states
        return plain
    ends = {"q_proj": factors.q, "k_proj": factors.k, "v_proj": factors.v, "out_proj": factors.out}
    parts = ((name, weight, name.split(".")[-2]) for name, weight in net.named_parameters())
    weights = {name: weight * ends[part] for name, weight, part in parts if part in ends}
    layers: tuple[Tensor, ...] = functional_call(net, weights, (), inputs).hidden_states
    return layers


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
