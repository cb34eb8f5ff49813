"""The U-ViT net equals its equations, computed here by plain functions of the tensors of a file."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.models.assembly import fill
from engine.models.detect import ArchitectureError
from engine.models.nets.uvit import UViT
from engine.models.transformer_configs import shapes_of, uvit_config
from tests.oracles.uvit import State, uvit_state

TIMES = torch.tensor([999.0, 12.0])
LABELS = torch.tensor([3, 10])


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def own(state: State) -> UViT:
    with torch.device("meta"):
        net = UViT(uvit_config(shapes_of(state)))
    return fill(net, state, torch.float32, "test", exact=True).requires_grad_(False)


def expected(w: State, x: Tensor, times: Tensor, condition: Tensor, heads: int) -> Tensor:
    """Bao et al. 2022, figure 1, in float64; times start at 1."""
    w, (_, channels, height, width) = {name: tensor.double() for name, tensor in w.items()}, x.shape
    tokens = [_time(w, times), *_condition(w, condition), _patches(w, x.double())]
    if "label_emb.weight" in w:
        tokens[:2] = tokens[1::-1]
    h = torch.cat(tokens, dim=1) + w["pos_embed"]
    depth, skips = len({name.split(".")[1] for name in w if name.startswith("in_blocks.")}), [h]
    for number in range(depth):
        skips += [_block(w, f"in_blocks.{number}", skips[-1], heads)]
    h = _block(w, "mid_block", skips[-1], heads)
    for number in range(depth):
        prefix, long = f"out_blocks.{number}", skips[depth - number]
        if f"{prefix}.skip_linear.weight" in w:
            h = _linear(w, f"{prefix}.skip_linear", torch.cat([h, long], dim=-1))
        h = _block(w, prefix, h, heads)
    squares = _linear(w, "decoder_pred", _norm(w, "norm", h))[:, -(height // 2) * (width // 2) :]
    picture = torch.zeros(len(x), channels, height, width, dtype=torch.float64)
    for place in range(squares.shape[1]):
        row, column = 2 * (place // (width // 2)), 2 * (place % (width // 2))
        square = squares[:, place].view(-1, 2, 2, channels)
        picture[:, :, row : row + 2, column : column + 2] = square.movedim(-1, 1)
    if "final_layer.weight" not in w:
        return picture
    return torch.conv2d(picture, w["final_layer.weight"], w["final_layer.bias"], padding=1)


def _time(w: State, times: Tensor) -> Tensor:
    half = w["norm.weight"].shape[0] // 2
    angles = (times.double()[:, None] + 1) * 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    if "time_embed.0.weight" in w:
        hidden = _linear(w, "time_embed.0", waves)
        waves = _linear(w, "time_embed.2", hidden * torch.sigmoid(hidden))
    return waves[:, None]


def _condition(w: State, condition: Tensor) -> list[Tensor]:
    if "label_emb.weight" in w:
        return [w["label_emb.weight"][condition][:, None]]
    return [_linear(w, "context_embed", condition.double())] if "context_embed.weight" in w else []


def _patches(w: State, x: Tensor) -> Tensor:
    squares = [x[:, :, r : r + 2, c : c + 2] for r in range(0, x.shape[2], 2) for c in range(0, x.shape[3], 2)]
    kernel = w["patch_embed.proj.weight"].flatten(1)
    return torch.stack([square.flatten(1) @ kernel.T for square in squares], dim=1) + w["patch_embed.proj.bias"]


def _block(w: State, prefix: str, x: Tensor, heads: int) -> Tensor:
    qkv = _linear(w, f"{prefix}.attn.qkv", _norm(w, f"{prefix}.norm1", x))
    size, mixed = x.shape[-1] // heads, []
    for head in range(heads):
        q, k, v = (qkv[..., p * x.shape[-1] + head * size :][..., :size] for p in range(3))
        mixed.append(torch.softmax(q @ k.transpose(1, 2) / math.sqrt(size), dim=-1) @ v)
    x = x + _linear(w, f"{prefix}.attn.proj", torch.cat(mixed, dim=-1))
    hidden = _linear(w, f"{prefix}.mlp.fc1", _norm(w, f"{prefix}.norm2", x))
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return x + _linear(w, f"{prefix}.mlp.fc2", hidden)


def _norm(w: State, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    unit = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return unit * w[f"{name}.weight"] + w[f"{name}.bias"]


def _linear(w: State, name: str, x: Tensor) -> Tensor:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", torch.zeros(()))


@pytest.mark.parametrize(
    "options",
    [{"classes": 11}, {"context": 48}, {}, {"classes": 11, "time_layers": True}, {"classes": 11, "plain": True}],
)
def test_a_u_vit_equals_its_equations(options: dict[str, int]) -> None:
    state = uvit_state(**options)
    x = noise(2, 4, 8, 8)
    words, condition = torch.zeros(2, 1, 0), LABELS
    if "context" in options:
        words = condition = noise(2, 77, 48)
    result = own(state)(x, TIMES, words, LABELS)
    wanted = expected(state, x, TIMES, condition, 2)
    torch.testing.assert_close(result, wanted.float(), rtol=0, atol=1e-5)
    assert wanted.std() > 0.1


def test_the_parts_that_a_file_lacks_are_left_out_of_the_net() -> None:
    config = uvit_config(shapes_of(uvit_state(classes=11, plain=True)))
    assert (config.skips, config.smooth, config.time_layers, config.biases) == (False, False, False, True)


def test_a_u_vit_paints_other_sizes_than_it_was_trained_on() -> None:
    net = own(uvit_state(classes=11))
    assert net(noise(2, 4, 11, 6), TIMES, torch.zeros(2, 1, 0), LABELS).shape == (2, 4, 11, 6)


def test_a_table_of_places_that_is_no_square_is_refused() -> None:
    state = uvit_state(classes=11)
    with pytest.raises(ArchitectureError, match="n \\* n \\+ 2 tokens"):
        uvit_config({**shapes_of(state), "pos_embed": (1, 20, 128)})
