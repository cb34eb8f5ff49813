"""Random IP-Adapters and style models under the names of their original files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.oracles.sd1 import State


def ip_adapter(unet: Any, form: str, seen: int) -> dict[str, State]:
    """An adapter for a UNet of diffusers that takes what is `seen` wide of an image tower."""
    generator = torch.Generator().manual_seed(11)

    def weight(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / math.sqrt(shape[-1])

    width = unet.config.cross_attention_dim
    state: State = {}
    for number, name in enumerate(unet.attn_processors):
        if not name.endswith("attn1.processor"):
            layer = unet.get_submodule(name.removesuffix(".processor"))
            for part in ("k", "v"):
                state[f"{number}.to_{part}_ip.weight"] = weight(layer.inner_dim, width)
    if form == "plain":
        shapes: dict[str, tuple[int, ...]] = {"proj.weight": (4 * width, seen), "proj.bias": (4 * width,)}
        shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    elif form == "full":
        shapes = {"proj.0.weight": (seen, seen), "proj.0.bias": (seen,), "proj.2.weight": (width, seen)}
        shapes |= {"proj.2.bias": (width,), "proj.3.weight": (width,), "proj.3.bias": (width,)}
    else:
        shapes = _resampler(seen, 64, width, 128)
    return {"image_proj": {name: weight(*shape) for name, shape in shapes.items()}, "ip_adapter": state}


def _resampler(seen: int, hidden: int, width: int, inner: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, 16, hidden),
        "proj_in.weight": (hidden, seen),
        "proj_in.bias": (hidden,),
        "proj_out.weight": (width, hidden),
        "proj_out.bias": (width,),
        "norm_out.weight": (width,),
        "norm_out.bias": (width,),
    }
    for layer in range(4):
        start = f"layers.{layer}."
        shapes |= {f"{start}0.{norm}.{leaf}": (hidden,) for norm in ("norm1", "norm2") for leaf in ("weight", "bias")}
        shapes |= {f"{start}0.to_q.weight": (inner, hidden), f"{start}0.to_kv.weight": (2 * inner, hidden)}
        shapes |= {f"{start}0.to_out.weight": (hidden, inner)}
        shapes |= {f"{start}1.0.weight": (hidden,), f"{start}1.0.bias": (hidden,)}
        shapes |= {f"{start}1.1.weight": (4 * hidden, hidden), f"{start}1.3.weight": (hidden, 4 * hidden)}
    return shapes


def flat(state: dict[str, State]) -> State:
    """As safetensors files name it."""
    return {f"{part}.{name}": weight for part, own in state.items() for name, weight in own.items()}


def style_state(channels: int, width: int, tokens: int = 8, layers: int = 3) -> State:
    """A style model."""
    generator = torch.Generator().manual_seed(12)

    def weight(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / math.sqrt(shape[-1])

    shapes: dict[str, Sequence[int]] = {"style_embedding": (1, tokens, channels), "proj": (channels, width)}
    for norm in ("ln_pre", "ln_post"):
        shapes |= {f"{norm}.{leaf}": (channels,) for leaf in ("weight", "bias")}
    for layer in range(layers):
        start = f"transformer_layes.{layer}."
        shapes |= {f"{start}ln_{n}.{leaf}": (channels,) for n in (1, 2) for leaf in ("weight", "bias")}
        shapes |= {
            f"{start}attn.in_proj_weight": (3 * channels, channels),
            f"{start}attn.in_proj_bias": (3 * channels,),
        }
        shapes |= {f"{start}attn.out_proj.weight": (channels, channels), f"{start}attn.out_proj.bias": (channels,)}
        shapes |= {f"{start}mlp.c_fc.weight": (4 * channels, channels), f"{start}mlp.c_fc.bias": (4 * channels,)}
        shapes |= {f"{start}mlp.c_proj.weight": (channels, 4 * channels), f"{start}mlp.c_proj.bias": (channels,)}
    return {name: weight(*shape) for name, shape in shapes.items()}


def style_tokens(state: State, seen: Tensor) -> Tensor:
    """What the style model of T2I-Adapter's paper makes of states `(B, T, C)`, written down again by hand."""
    tokens = state["style_embedding"].shape[1]
    x = torch.cat([seen, state["style_embedding"].repeat(len(seen), 1, 1)], dim=1)
    x = _normed(x, state, "ln_pre")
    layers = len({name.split(".")[1] for name in state if name.startswith("transformer_layes")})
    for layer in range(layers):
        start = f"transformer_layes.{layer}."
        mha = nn.MultiheadAttention(x.shape[-1], 8)
        own = {k.removeprefix(f"{start}attn."): w for k, w in state.items() if k.startswith(f"{start}attn.")}
        mha.load_state_dict(own)
        h = _normed(x, state, f"{start}ln_1").transpose(0, 1)
        with torch.no_grad():
            x = x + mha(h, h, h)[0].transpose(0, 1)
        h = F.linear(
            _normed(x, state, f"{start}ln_2"), state[f"{start}mlp.c_fc.weight"], state[f"{start}mlp.c_fc.bias"]
        )
        x = x + F.linear(
            h * torch.sigmoid(1.702 * h), state[f"{start}mlp.c_proj.weight"], state[f"{start}mlp.c_proj.bias"]
        )
    return _normed(x[:, -tokens:], state, "ln_post") @ state["proj"]


def _normed(x: Tensor, state: State, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])
