"""Files of published systems at full size: with random weights, or hollow ones, of which a header can be read.

A hollow file has its length but takes no room on the disk; all of its numbers are zeros.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from engine.models.nets.pixel_unet import PixelUNet, PixelUNetConfig
from tests import manifests
from tests.manifests import UNET, VAE, Shapes
from tests.oracles import families, sd1, vision

POOL = 1_000_003  # random numbers that all weights are made of: a prime, so that no two rows of one are the same
OPEN_CLIP = "conditioner.embedders.0.open_clip.model.visual."
IF_WIDTH = 704  # of the first level of IF-I-XL


def sd1_shapes() -> Shapes:
    """Stable Diffusion 1.5: 1.07 billion numbers."""
    tower = _shapes(sd1.text_encoder_state(sd1.blank_text_encoder()))
    return manifests.checkpoint("sd1") | _prefixed("cond_stage_model.transformer.", tower)


def sdxl_shapes() -> Shapes:
    """SDXL: 3.47 billion numbers."""
    first = _shapes(sd1.text_encoder_state(sd1.blank_text_encoder()))
    towers = _prefixed("conditioner.embedders.0.transformer.", first) | _prefixed(
        "conditioner.embedders.1.model.", _g()
    )
    return manifests.checkpoint("sdxl-base") | towers


def refiner_shapes() -> Shapes:
    """SDXL's refiner, which reads words with the second tower alone."""
    return manifests.checkpoint("sdxl-refiner") | _prefixed("conditioner.embedders.0.model.", _g())


def upscaler_shapes() -> Shapes:
    """The x4 upscaler, with SD2's tower."""
    tower = _shapes(families.open_clip_state(families.blank_tower(1024, 24)))
    return manifests.checkpoint("sd-x4-upscaler") | _prefixed("cond_stage_model.model.", tower)


def video_shapes() -> Shapes:
    """Stable Video Diffusion: UNet, image tower, and an autoencoder whose decoder has layers over time."""
    decoder = _prefixed(f"{VAE}decoder.", manifests.manifest("svd", "vae_decoder"))
    encoding = ("encoder.", "quant_conv.")
    encoder = {name: shape for name, shape in manifests.manifest("sd1", "vae").items() if name.startswith(encoding)}
    tower = vision.blank_tower(1280, 32, 1024, side=224, patch=14, hidden_act="gelu", num_attention_heads=16)
    seeing = _shapes(vision.open_clip_state(tower))
    unet = _prefixed(UNET, manifests.manifest("svd"))
    return unet | decoder | _prefixed(VAE, encoder) | _prefixed(OPEN_CLIP, seeing)


def controlnet_shapes() -> Shapes:
    """A ControlNet for SD1."""
    return _prefixed("control_model.", manifests.manifest("controlnet-sd1", "control"))


def stage_shapes() -> Shapes:
    """IF-I-XL, the largest first stage of DeepFloyd IF: 4.3 billion numbers."""
    widths = (IF_WIDTH, 2 * IF_WIDTH, 3 * IF_WIDTH, 4 * IF_WIDTH)
    config = PixelUNetConfig(widths=widths, embedding_channels=widths[-1], word_channels=widths[-1])
    return _built(lambda: PixelUNet(config))


def later_stage_shapes() -> Shapes:
    """A super-resolution stage of DeepFloyd IF, of medium size."""
    config = PixelUNetConfig(
        in_channels=6, widths=(128, 256, 384, 512), blocks=(2, 2, 3, 3), cross_only=True, levels=True
    )
    return _built(lambda: PixelUNet(config))


def t5_shapes() -> Shapes:
    """The encoder of T5-XXL: 4.76 billion numbers."""
    shape = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    named = _built(lambda: T5EncoderModel(T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", **shape)))
    return {name: shape for name, shape in named.items() if name != "encoder.embed_tokens.weight"}


def hollow(path: Path, shapes: Shapes, dtype: str = "F16") -> Path:
    """A safetensors file of two bytes a number with nothing but its header in it."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (begin, end)}
    told = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(told)) + told)
        file.truncate(8 + len(told) + end)
    return path


def random(path: Path, shapes: Shapes) -> Path:
    """A safetensors file of random numbers in bfloat16."""
    numbers = torch.randn(POOL, generator=torch.Generator().manual_seed(0))
    save_file({name: _random(name, shape, numbers) for name, shape in shapes.items()}, path)
    return path


def _random(name: str, shape: tuple[int, ...], numbers: Tensor) -> Tensor:
    """Numbers that keep what a net answers at the order of 1; norms change nothing."""
    if len(shape) < 2:
        return torch.full(shape, 1.0 if name.endswith("weight") else 0.0, dtype=torch.bfloat16)
    count = math.prod(shape)
    scaled = (numbers * (0.5 / math.sqrt(math.prod(shape[1:])))).bfloat16()
    first = zlib.crc32(name.encode()) % POOL  # each weight begins elsewhere
    return scaled.roll(first).repeat(-(-count // POOL))[:count].reshape(shape).clone()


def _g() -> Shapes:
    return _shapes(families.open_clip_state(families.blank_tower(1280, 32, projection=1280)))


def _built(build: Callable[[], nn.Module]) -> Shapes:
    with torch.device("meta"):
        return _shapes(build().state_dict())


def _shapes(state: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(weight.shape) for name, weight in state.items() if weight.is_floating_point()}


def _prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}
