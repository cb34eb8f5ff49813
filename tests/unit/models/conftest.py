"""A tiny checkpoint of random weights in the Stable Diffusion 1.x layout, and the reference nets it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models.checkpoint import Checkpoint, load_checkpoint
from tests.oracles import sd1

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Reference:
    """Reference nets, and their weights under the names of a checkpoint file."""

    unet: Any
    vae: Any
    text: Any
    state: dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def reference() -> Reference:
    unet, vae, text = sd1.unet((32, 64, 64), 1, 128), sd1.autoencoder((32, 64), 1), sd1.text_encoder(128, 3)
    return Reference(unet, vae, text, sd1.checkpoint_state(unet, vae, text))


@pytest.fixture(scope="session")
def checkpoint_file(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "tiny.safetensors"
    save_file({name: weight.contiguous() for name, weight in reference.state.items()}, path)
    return path


@pytest.fixture(scope="session")
def checkpoint(checkpoint_file: Path) -> Checkpoint:
    return load_checkpoint(checkpoint_file, CPU)
