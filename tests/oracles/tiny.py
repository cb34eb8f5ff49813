"""Reference tiny autoencoders of diffusers, and their weights in every layout of files that is about."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from tests.oracles.sd1 import randomised

State = dict[str, Tensor]


def autoencoder(latent_channels: int = 4, width: int = 8, levels: int = 4) -> Any:
    """A TAESD with random weights; the published ones have 64 channels and 4 levels."""
    widths = (width,) * levels
    with torch.device("meta"):
        net = AutoencoderTiny(
            encoder_block_out_channels=widths,
            decoder_block_out_channels=widths,
            num_encoder_blocks=(1, *(3,) * (levels - 1)),
            num_decoder_blocks=(*(3,) * (levels - 1), 1),
            latent_channels=latent_channels,
        )
    return randomised(net)


def half(net: Any, name: str) -> State:
    """`encoder` or `decoder` under the original's names; the original counts its decoder's clamp as layer 0."""
    shift = 1 if name == "decoder" else 0
    state: State = getattr(net, name).layers.state_dict()
    split = [(key.partition("."), weight) for key, weight in state.items()]
    return {f"{int(number) + shift}.{rest}": weight for (number, _, rest), weight in split}


def layouts(net: Any) -> dict[str, State]:
    """Whole files that hold a decoder, by the name of their layout."""
    halves = {name: half(net, name) for name in ("encoder", "decoder")}
    joined = {f"{name}.{key}": weight for name, state in halves.items() for key, weight in state.items()}
    return {
        "original": halves["decoder"],
        "joined": joined,
        "prefixed": {f"taesd_{key}": weight for key, weight in joined.items()},
        "diffusers": dict(net.state_dict()),
    }
