"""Writes `tests/data/golden/upscalers.*`: tiny upscalers in spandrel's names, and what it makes of them.

Run with spandrel 0.4.2 and einops on the path (`PYTHONPATH=... python -m tests.oracles.upscalers`). It asks for
torchvision, which nets need that are not used here; a stub takes its place. The tests use `weights_of` and `picture`.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
BUFFERS = ("relative_position_index", "attn_mask")


def weights_of(manifest: Mapping[str, tuple[str, Any]]) -> dict[str, Tensor]:
    """Tensors of a manifest: normal numbers that depend on a name, small enough to pass through many layers.

    A manifest has for each tensor the name that counts, the same for all that files call it, and the shape.
    """
    tensors = {}
    for name, (counting, shape) in manifest.items():
        generator = torch.Generator().manual_seed(zlib.crc32(counting.encode()))
        values = torch.randn(tuple(shape), generator=generator)
        fan_in = max(1, values[0].numel()) if len(shape) > 1 else 4
        norm = counting.endswith(("norm.weight", "norm1.weight", "norm2.weight"))
        tensors[name] = values * fan_in**-0.5 + (1 if norm else 0)
    return tensors


def picture(channels: int, size: int = 16) -> Tensor:
    """A picture `(1, channels, size, size)` in 0..1."""
    return torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(channels))


def main() -> None:
    """Make the nets with spandrel, fill them, and write names, shapes and results."""
    _stub_torchvision()
    manifests: dict[str, dict[str, tuple[str, list[int]]]] = {}
    results: dict[str, np.ndarray[Any, Any]] = {}
    loader = __import__("spandrel").ModelLoader()
    for name, net in _nets().items():
        state = net.state_dict()
        own = {key: (key, list(value.shape)) for key, value in state.items()}
        buffers = {key: value for key, value in state.items() if key.endswith(BUFFERS)}
        for form, manifest in _forms(name, own).items():
            made, channels = weights_of(manifest) | buffers, 1 if name == "swinir_jpeg" else 3
            if name == "swinir_unshifted":  # whose training size spandrel does not see in the file
                net.load_state_dict(made)
            else:
                net = loader.load_from_state_dict(made).model
            manifests[form] = manifest
            with torch.inference_mode():
                result = net.eval()(picture(channels)).numpy()
            assert np.array_equal(results.setdefault(name, result), result), form
    (GOLDEN / "upscalers.json").write_text(json.dumps(manifests, separators=(",", ":")) + "\n", "utf-8")
    np.savez_compressed(GOLDEN / "upscalers.npz", **results)


def _nets() -> dict[str, torch.nn.Module]:
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.ESRGAN import ESRGAN
    from spandrel.architectures.SwinIR import SwinIR

    small = {"embed_dim": 12, "depths": [2, 2], "num_heads": [2, 3], "window_size": 4, "mlp_ratio": 2}
    esrgan = {"num_filters": 8, "num_blocks": 2}
    return {
        "esrgan_x4": ESRGAN(scale=4, **esrgan),
        "esrgan_x2": ESRGAN(scale=2, **esrgan),
        "esrgan_unshuffle": ESRGAN(in_nc=12, out_nc=3, scale=4, shuffle_factor=2, **esrgan),
        "esrgan_plus": ESRGAN(scale=4, plus=True, **esrgan),
        "compact_x4": Compact(num_feat=8, num_conv=3, upscale=4),
        "compact_x1": Compact(num_feat=8, num_conv=2, upscale=1),
        "swinir_shuffle": SwinIR(img_size=16, upscale=4, upsampler="pixelshuffle", **small),
        "swinir_shuffle_x3": SwinIR(img_size=16, upscale=3, upsampler="pixelshuffle", **small),
        "swinir_direct": SwinIR(img_size=8, upscale=2, upsampler="pixelshuffledirect", **small),
        "swinir_nearest": SwinIR(img_size=16, upscale=4, upsampler="nearest+conv", resi_connection="3conv", **small),
        "swinir_jpeg": SwinIR(img_size=14, in_chans=1, img_range=255.0, **small | {"window_size": 7}),
        "swinir_unshifted": SwinIR(img_size=4, upscale=2, upsampler="pixelshuffledirect", **small),
    }


def _forms(name: str, own: dict[str, tuple[str, list[int]]]) -> dict[str, dict[str, tuple[str, list[int]]]]:
    """The manifest under every naming that files use; ESRGAN has two newer ones."""
    if name not in ("esrgan_x4", "esrgan_unshuffle"):
        return {name: own}
    newer = {"model.0": "conv_first", "model.1.sub.2": "{trunk}", "model.3": "{up}1", "model.6": "{up}2"}
    newer |= {"model.8": "{hr}", "model.10": "conv_last"}
    words = {
        "real": {"trunk": "conv_body", "up": "conv_up", "hr": "conv_hr", "block": r"body.\1.rdb\2.\3."},
        "trunk": {"trunk": "trunk_conv", "up": "upconv", "hr": "HRconv", "block": r"RRDB_trunk.\1.RDB\2.\3."},
    }
    forms = {name: own}
    for form, word in words.items():
        renamed = {}
        for key, value in own.items():
            layer, _, kind = key.rpartition(".")
            block = re.sub(r"model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d)\.0\.", word["block"], key)
            renamed[f"{newer[layer].format(**word)}.{kind}" if layer in newer else block] = value
        forms[f"{name}_{form}"] = renamed
    return forms


def _stub_torchvision() -> None:
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    for name in names:
        sys.modules[name] = ModuleType(name)
    functional: Any = sys.modules[names[2]]
    functional.InterpolationMode = functional.rotate = functional.normalize = None


if __name__ == "__main__":
    main()
