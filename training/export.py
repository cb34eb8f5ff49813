"""Writes the demo model as one file in the layout of a Stable Diffusion 1.x checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextModel

from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.unet import UNet
from training.scenes import SIZE
from training.text_encoder import VOCABULARY, WIDTH, vocabulary

METADATA = {
    "modelspec.title": "Easel demo",
    "modelspec.license": "Apache-2.0",
    "modelspec.resolution": f"{SIZE}x{SIZE}",
    "modelspec.description": "Flat shapes on flat backgrounds, trained from scratch on procedural scenes.",
}
UNTRAINED_SPREAD = 0.02


def export(unet: UNet, autoencoder: Autoencoder, encoder: CLIPTextModel, path: Path) -> None:
    """Write the three parts to `path` in half precision, the encoder with CLIP's whole vocabulary."""
    tensors: dict[str, Tensor] = {}
    for prefix, state in (
        ("model.diffusion_model.", unet.state_dict()),
        ("first_stage_model.", autoencoder.state_dict()),
        ("cond_stage_model.transformer.text_model.", _whole_vocabulary(encoder)),
    ):
        tensors |= {prefix + name: tensor.half().contiguous() for name, tensor in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, METADATA)


def _whole_vocabulary(encoder: CLIPTextModel) -> dict[str, Tensor]:
    """The encoder's state with a row for every CLIP token; words that captions never hold get small random ones."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    table = torch.randn(VOCABULARY, WIDTH, generator=torch.Generator().manual_seed(0)) * UNTRAINED_SPREAD
    table[list(vocabulary())] = state["embeddings.token_embedding.weight"]
    return {**state, "embeddings.token_embedding.weight": table}
