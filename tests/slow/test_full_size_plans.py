"""`main.py plan` of example workflows with files of full size, of which there is nothing but the headers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.app.cli import main
from tests.manifests import Shapes
from tests.oracles import full_size
from tests.unit.models.test_t5 import SPIECE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GIB = 2**30
FILES: dict[str, Callable[[], Shapes]] = {
    "checkpoints/v1-5-pruned-emaonly-fp16.safetensors": full_size.sd1_shapes,
    "checkpoints/sd_xl_base_1.0.safetensors": full_size.sdxl_shapes,
    "checkpoints/sd_xl_refiner_1.0.safetensors": full_size.refiner_shapes,
    "checkpoints/x4-upscaler-ema.safetensors": full_size.upscaler_shapes,
    "checkpoints/svd.safetensors": full_size.video_shapes,
    "controlnet/control_v11p_sd15_canny_fp16.safetensors": full_size.controlnet_shapes,
    "diffusion_models/IF-I-XL-v1.0.safetensors": full_size.stage_shapes,
    "diffusion_models/IF-II-L-v1.0.safetensors": full_size.later_stage_shapes,
    "text_encoders/t5xxl_fp16.safetensors": full_size.t5_shapes,
}
# What each node that computes uses, and the least of the device that the workflow can do with, in GiB.
EXPECTED: dict[str, tuple[dict[str, set[str]], float]] = {
    "controlnet": (
        {"CLIPTextEncode": {"CLIPTextModel"}, "KSampler": {"UNet", "ControlNet"}, "VAEDecode": {"Autoencoder"}},
        2,
    ),
    "sdxl_base_refiner": (
        {
            "CLIPTextEncodeSDXL": {"CLIPTextModel", "CLIPTextModelWithProjection"},
            "CLIPTextEncodeSDXLRefiner": {"CLIPTextModelWithProjection"},
            "KSamplerAdvanced": {"UNet"},
            "VAEDecode": {"Autoencoder"},
        },
        2,
    ),
    "upscale_x4": (
        {
            "CheckpointLoaderSimple": {"Autoencoder"},  # colours of previews are found by encoding some
            "CLIPTextEncode": {"CLIPTextModel"},
            "KSampler": {"UNet"},
            "VAEDecode": {"Autoencoder"},
        },
        3,
    ),
    "cascade": (
        {"T5TextEncode": {"T5Stack"}, "CascadeSample": {"PixelUNet"}, "CascadeSuperResolve": {"PixelUNet"}},
        3,
    ),
    "image_to_video": (
        {
            "SVD_img2vid_Conditioning": {"CLIPVisionModelWithProjection", "Autoencoder"},
            "KSampler": {"VideoUNet"},
            "VAEDecode": {"Autoencoder"},
        },
        5,  # all frames are looked at together, and the simulated device computes in single precision
    ),
}  # fmt: skip
GIB_OF = {
    "T5Stack": 8.87,
    "VideoUNet": 2.84,
    "CLIPVisionModelWithProjection": 2.36,
}  # of weights: published counts, in half precision and the image tower's in single


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    for name, shapes in FILES.items():
        full_size.hollow(folder / "models" / name, shapes())
    shutil.copy(SPIECE, folder / "models" / "text_encoders" / "spiece.model")
    shutil.copytree(ROOT / "input", folder / "input")
    return folder


def planned(name: str, base: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    workflow = str(ROOT / "workflows" / f"{name}.json")
    argv = ["plan", workflow, "--json", "--base-directory", str(base), "--device", "simulated", "--vram-budget", "24G"]
    assert main(argv) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_every_node_that_computes_says_which_nets_it_uses_and_their_bytes(
    name: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nets, least = EXPECTED[name]
    found = planned(name, base, capsys)
    assert [node["unknown"] for node in found["nodes"] if node["unknown"]] == []
    by_type: dict[str, set[str]] = {}
    for node in found["nodes"]:
        if node["works"]:
            by_type.setdefault(node["type"], set()).update(work["net"] for work in node["works"])
        for work in node["works"]:
            assert 0 < work["mode"]["activations"] < 16 * GIB
            if work["net"] in GIB_OF:
                assert work["weights"] / GIB == pytest.approx(GIB_OF[work["net"]], rel=0.01)
    assert by_type == nets
    assert found["least"] <= least * 10**9


def test_a_missing_file_is_named(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = str(ROOT / "workflows" / "sdxl_controlnet.json")
    assert main(["plan", workflow, "--base-directory", str(base), "--device", "simulated"]) == 2
    assert "diffusers_xl_canny_full.safetensors" in capsys.readouterr().err
