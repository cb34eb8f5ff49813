"""Which base a file is for and what it lacks; each kind of file by the layouts that are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.app.cli import main
from engine.models.describe import base_of, missing_in
from engine.models.detect import Shapes, detect
from engine.models.inspect import inspect
from tests import manifests
from tests.oracles import families, sd1, tiny, vision

KEY = "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"


def shapes_of(state: Any) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def told(shapes: Shapes) -> tuple[str, str | None]:
    found = detect(shapes)
    return found.kind, base_of(found, shapes)


@pytest.mark.parametrize(
    ("width", "base"), [(768, "SD 1.x"), (1024, "SD 2.x"), (2048, "SDXL"), (1280, "the SDXL refiner"), (99, None)]
)
@pytest.mark.parametrize(
    ("down", "up"),
    [
        (f"lora_unet_{KEY}.lora_down.weight", f"lora_unet_{KEY}.lora_up.weight"),
        (f"unet.{BLOCK}.to_k.lora_A.weight", f"unet.{BLOCK}.to_k.lora_B.weight"),
        (f"unet.{BLOCK}.to_k.lora.down.weight", f"unet.{BLOCK}.to_k.lora.up.weight"),
        (f"{BLOCK}.processor.to_k_lora.down.weight", f"{BLOCK}.processor.to_k_lora.up.weight"),
        (f"lora_unet_{KEY}.hada_w1_b", f"lora_unet_{KEY}.hada_w1_a"),
    ],
)
def test_a_lora_is_for_the_family_whose_tokens_it_takes(down: str, up: str, width: int, base: str | None) -> None:
    shapes: Shapes = {down: (4, width), up: (1280, 4) if "hada" not in up else (640, 4)}
    assert told(shapes) == ("lora", base)


def test_a_lora_of_text_encoders_alone_is_told_by_the_second() -> None:
    assert told({"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 1280)}) == ("lora", "SDXL")


def test_controlnets_are_told_with_their_base() -> None:
    shapes = manifests.manifest("controlnet-sd1", "control")
    assert told(shapes) == ("controlnet", "SD 1.x")
    assert told({f"control_model.{name}": shape for name, shape in shapes.items()}) == ("controlnet", "SD 1.x")
    lora: Shapes = {
        "lora_controlnet": (0,),
        "input_blocks.4.1.transformer_blocks.0.attn2.to_k.down": (128, 2048),
        "input_blocks.4.1.transformer_blocks.0.attn2.to_k.up": (640, 128),
    }
    found = detect(lora)
    assert (found.kind, found.family, base_of(found, lora)) == ("controlnet", "control-lora", "SDXL")
    assert missing_in(found, lora) == ("base weights: those of the model that it is used with are taken",)
    union: Shapes = {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "task_embedding": (6, 320)}
    assert detect(union).family == "ControlNet union (diffusers names)"


@pytest.mark.parametrize(
    ("shapes", "family", "base"),
    [
        ({"body.0.block1.weight": (320, 320, 3, 3), "conv_in.weight": (320, 192, 3, 3)}, "T2I-Adapter",
         "SD 1.x or 2.x"),
        ({"body.0.block1.weight": (320, 320, 3, 3), "conv_in.weight": (320, 768, 3, 3)}, "T2I-Adapter", "SDXL"),
        ({"body.0.in_conv.weight": (320, 192, 1, 1)}, "T2I-Adapter (light)", "SD 1.x or 2.x"),
        ({"adapter.body.0.resnets.0.block1.weight": (320, 320, 3, 3), "adapter.conv_in.weight": (320, 768, 3, 3)},
         "T2I-Adapter (diffusers names)", "SDXL"),
    ],
)  # fmt: skip
def test_adapters_of_features_are_told_by_how_pictures_are_folded(shapes: Shapes, family: str, base: str) -> None:
    found = detect(shapes)
    assert (found.family, base_of(found, shapes)) == (family, base)


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        ({"model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3), "model.0.weight": (64, 3, 3, 3)}, "ESRGAN"),
        ({"RRDB_trunk.0.RDB1.conv1.weight": (32, 64, 3, 3), "conv_first.weight": (64, 3, 3, 3)}, "ESRGAN"),
        ({"body.0.rdb1.conv1.weight": (32, 64, 3, 3), "conv_first.weight": (64, 3, 3, 3)},
         "ESRGAN (Real-ESRGAN's names)"),
        ({"body.0.weight": (64, 3, 3, 3), "body.0.bias": (64,), "body.1.weight": (64,)}, "Real-ESRGAN (compact)"),
        ({"layers.0.residual_group.blocks.0.attn.relative_position_bias_table": (225, 6)}, "SwinIR"),
    ],
)  # fmt: skip
def test_upscalers_are_named(shapes: Shapes, family: str) -> None:
    found = detect(shapes)
    assert (found.kind, found.family) == ("upscale_model", family)


@pytest.mark.parametrize("name", ["original", "joined", "prefixed", "diffusers"])
def test_tiny_autoencoders_are_named_and_the_half_that_is_elsewhere(name: str) -> None:
    shapes = shapes_of(tiny.layouts(tiny.autoencoder())[name])
    found = detect(shapes)
    assert (found.kind, found.family) == ("tiny_autoencoder", "TAESD")
    assert missing_in(found, shapes) == (("encoder: it is in a file of its own",) if name == "original" else ())


def test_the_encoder_of_a_tiny_autoencoder_is_told_from_its_decoder() -> None:
    shapes = shapes_of(tiny.half(tiny.autoencoder(), "encoder"))
    assert missing_in(detect(shapes), shapes) == ("decoder: it is in a file of its own",)


def test_parts_of_models_are_named() -> None:
    vae = sd1.autoencoder((32, 64), 1)
    tower = families.tower(64, 1)
    assert told(shapes_of(sd1.autoencoder_state(vae))) == ("vae", "SD 1.x, 2.x or SDXL (4 channels)")
    assert told(shapes_of(vae.state_dict()))[0] == "vae"
    assert told(shapes_of(tower.state_dict())) == ("text_encoder", None)
    assert told({"text_model.embeddings.token_embedding.weight": (49408, 1280)})[1] == "OpenCLIP bigG (SDXL)"
    assert told(shapes_of(families.open_clip_state(tower)))[0] == "text_encoder"
    assert told(shapes_of(vision.tower().state_dict()))[0] == "clip_vision"
    wide: Shapes = {"vision_model.embeddings.patch_embedding.weight": (1664, 3, 14, 14),
                    "vision_model.embeddings.position_embedding.weight": (257, 1664)}  # fmt: skip
    assert told(wide) == ("clip_vision", "OpenCLIP bigG")
    assert told({"768.0.linear1.weight": (8, 768)}) == ("hypernetwork", "SD 1.x")
    assert told({"clip_l": (2, 768), "clip_g": (2, 1280)})[1] == "SDXL"


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("sd1", ["text encoder: load one with CLIPLoader or DualCLIPLoader"]),
        ("sdxl-base", ["text encoder: load one with CLIPLoader or DualCLIPLoader"]),
        ("sd21-unclip-h", ["text encoder: load one with CLIPLoader or DualCLIPLoader",
                           "image encoder: load one with CLIPVisionLoader"]),
    ],
)  # fmt: skip
def test_a_checkpoint_says_which_parts_it_lacks(name: str, lacks: list[str]) -> None:
    shapes = manifests.checkpoint(name)
    vae = (
        [] if any(key.startswith("first_stage_model.") for key in shapes) else ["autoencoder: load one with VAELoader"]
    )
    assert list(missing_in(detect(shapes), shapes)) == [lacks[0], *vae, *lacks[1:]]
    unet = {key: shape for key, shape in shapes.items() if key.startswith("model.diffusion_model.")}
    assert "autoencoder: load one with VAELoader" in missing_in(detect(unet), unet)


def test_the_first_of_two_text_encoders_is_missed_by_its_name() -> None:
    shapes = manifests.checkpoint("sdxl-base") | {"conditioner.embedders.1.model.ln_final.weight": (1280,)}
    assert missing_in(detect(shapes), shapes)[0].startswith("first text encoder (CLIP ViT-L)")


def test_the_command_names_kind_base_and_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {f"lora_unet_{KEY}.lora_down.weight": torch.zeros(4, 768).half(), "lora_unet_x.alpha": torch.ones(())}
    save_file(tensors | {f"lora_unet_{KEY}.lora_up.weight": torch.zeros(1280, 4).half()}, path)
    assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["a.safetensors: lora, LoRA (kohya), F16 and others", "  for SD 1.x"]
    half = tmp_path / "taesd_decoder.safetensors"
    save_file({n: t.contiguous() for n, t in tiny.half(tiny.autoencoder(), "decoder").items()}, half)
    report = inspect(half)
    assert (report.precision, report.missing) == ("F32", ("encoder: it is in a file of its own",))
    assert main(["inspect", str(half)]) == 0
    assert "  missing: encoder: it is in a file of its own" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("dit-xl-2-256", ["autoencoder: load one with VAELoader"]),
        (
            "pixart-sigma-1024",
            ["text encoder: load a T5 with CLIPLoader, type pixart", "autoencoder: load one with VAELoader"],
        ),
    ],
)
def test_a_transformer_says_what_else_it_takes(name: str, lines: list[str]) -> None:
    shapes = manifests.manifest(name)
    assert list(missing_in(detect(shapes), shapes)) == lines
