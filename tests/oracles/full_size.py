"""Files of published checkpoints at full size, with random weights in half precision."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests import manifests
from tests.oracles import families, sd1
from tests.oracles.sd1 import State

POOL = 1_000_003  # random numbers that all weights are made of: a prime, so that no two rows of one are the same


def sd1_file(path: Path) -> Path:
    """Stable Diffusion 1.5: 1.07 billion numbers, 2.1 GB."""
    towers = families.prefixed("cond_stage_model.transformer.", sd1.text_encoder_state(sd1.text_encoder()))
    return _written(path, manifests.checkpoint("sd1"), towers)


def sdxl_file(path: Path) -> Path:
    """SDXL: 3.47 billion numbers, 6.9 GB."""
    first = families.tower(768, 12, activation="quick_gelu", seed=1)
    towers = families.prefixed("conditioner.embedders.0.transformer.", sd1.text_encoder_state(first))
    second = families.tower(1280, 32, projection=1280, seed=2)
    towers |= families.prefixed("conditioner.embedders.1.model.", families.open_clip_state(second))
    return _written(path, manifests.checkpoint("sdxl-base"), towers)


def _written(path: Path, shapes: manifests.Shapes, towers: State) -> Path:
    numbers = torch.randn(POOL, generator=torch.Generator().manual_seed(0))
    state = {name: _half(weight) for name, weight in towers.items()}
    towers.clear()
    save_file(state | {name: _random(name, shape, numbers) for name, shape in shapes.items()}, path)
    return path


def _half(weight: Tensor) -> Tensor:
    return weight.bfloat16().contiguous() if weight.is_floating_point() else weight


def _random(name: str, shape: tuple[int, ...], numbers: Tensor) -> Tensor:
    """Numbers that keep what a net answers at the order of 1; norms change nothing."""
    if len(shape) == 1:
        return torch.full(shape, 1.0 if name.endswith("weight") else 0.0, dtype=torch.bfloat16)
    count = math.prod(shape)
    scaled = (numbers * (0.5 / math.sqrt(math.prod(shape[1:])))).bfloat16()
    first = zlib.crc32(name.encode()) % POOL  # each weight begins elsewhere
    return scaled.roll(first).repeat(-(-count // POOL))[:count].reshape(shape).clone()
