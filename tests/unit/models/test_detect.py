"""What a file is, told from tensor names and shapes: families, add-ons, and mutations of the published layouts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.models.detect import UNET, Detection, Shapes, detect, wrong_kind

KEYS = Path(__file__).parents[2] / "data" / "keys"
FAMILIES = {
    family: {UNET + name: tuple(shape) for name, shape in shapes.items()}
    for family, shapes in json.loads((KEYS / "families.json").read_text()).items()
}
MANIFEST = json.loads((KEYS / "sd1.json").read_text())
SD1: Shapes = {UNET + name: tuple(shape) for name, shape in MANIFEST["unet"].items()}
FIRST = f"{UNET}input_blocks.0.0.weight"


def test_the_published_layout_is_sd1() -> None:
    found = detect(SD1)
    assert (found.kind, found.family, found.nearest) == ("checkpoint", "SD 1.x", None)
    assert {"channels: 4", "projections: convolutions", "context width: 768"} <= set(found.evidence)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_families_are_told_apart(family: str) -> None:
    assert detect(FAMILIES[family]).family == family


@pytest.mark.parametrize(
    ("base", "channels", "family"),
    [
        ("SD 1.x", 9, "SD 1.5 inpainting"),
        ("SD 1.x", 8, "InstructPix2Pix"),
        ("SD 2.x", 9, "SD 2.x inpainting"),
        ("SD 2.x", 5, "SD 2.x depth"),
    ],
)
def test_variants_are_told_by_the_channels_they_take(base: str, channels: int, family: str) -> None:
    shapes = {"SD 1.x": SD1, **FAMILIES}[base]
    assert detect({**shapes, FIRST: (320, channels, 3, 3)}).family == family


@pytest.mark.parametrize(
    ("family", "tensor"),
    [
        ("SD 1.x", "cond_stage_model.transformer.text_model.final_layer_norm.weight"),
        ("SD 2.x", "cond_stage_model.model.ln_final.weight"),
        ("SDXL", "conditioner.embedders.1.model.ln_final.weight"),
        ("SDXL refiner", "conditioner.embedders.0.model.transformer.resblocks.0.ln_1.weight"),
    ],
)
def test_each_family_keeps_its_text_encoder(family: str, tensor: str) -> None:
    assert detect({**({"SD 1.x": SD1, **FAMILIES}[family]), tensor: (8,)}).family == family


@pytest.mark.parametrize(
    ("change", "nearest", "difference"),
    [
        ({FIRST: (320, 6, 3, 3)}, "SD 1.x", "channels: 6 instead of 4"),
        ({f"{UNET}label_emb.0.0.weight": (1280, 99)}, "SD 1.x", "conditioning vector: vector instead of none"),
        ({"cond_stage_model.transformer.embeddings.word_embeddings.weight": (21128, 768)}, "SD 1.x",
         "text encoder: another instead of CLIP or none"),
        ({f"{UNET}input_blocks.1.1.time_stack.0.norm1.weight": (320,)}, "SD 1.x", "time layers: yes instead of no"),
    ],
)  # fmt: skip
def test_an_unknown_family_names_the_nearest_and_what_differs(change: Shapes, nearest: str, difference: str) -> None:
    found = detect({**SD1, **change})
    assert (found.family, found.nearest, found.evidence) == ("unknown", nearest, (difference,))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "lora"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.hada_w1_a", "lora"),
        ("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight", "lora"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight", "lora"),
        ("mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight", "lora"),
        ("control_model.input_hint_block.0.weight", "controlnet"),
        ("controlnet_cond_embedding.conv_in.weight", "controlnet"),
        ("encoder.down.0.block.0.norm1.weight", "unknown"),
        ("decoder.mid.block_1.conv1.weight", "vae"),
        ("input_blocks.0.0.weight", "unet"),
        ("down_blocks.0.resnets.0.conv1.weight", "unet"),
        ("text_model.embeddings.token_embedding.weight", "text_encoder"),
        ("emb_params", "embedding"),
        ("string_to_param.*", "embedding"),
        ("<style>", "embedding"),
    ],
)
def test_files_of_other_kinds_are_told_by_a_name(name: str, kind: str) -> None:
    assert detect({name: (4, 4), "more.weight": (4, 4)} if kind != "embedding" else {name: (4, 4)}).kind == kind


def test_a_controlnet_that_carries_a_whole_checkpoint_is_a_controlnet() -> None:
    assert detect({**SD1, "control_model.input_hint_block.0.weight": (16, 3, 3, 3)}).kind == "controlnet"


def test_nothing_and_nonsense_are_unknown() -> None:
    assert detect({}).kind == "unknown"
    assert detect({"layer.weight": (3, 3, 3)}).evidence == ("1 tensors, the first is layer.weight",)


@pytest.mark.parametrize(
    ("detection", "message"),
    [
        (Detection("lora", "LoRA (kohya)", ("it has x",)),
         "a.ckpt: this file is of another kind: expected a VAE, got a LoRA (kohya) (it has x). "
         "It belongs in models/loras."),
        (Detection("ip_adapter", "IP-Adapter", ("it has x",)),
         "a.ckpt: this file is of another kind: expected a VAE, got an IP-Adapter (it has x)"),
        (Detection("checkpoint", "unknown", ("channels: 6 instead of 4",), "SD 1.x"),
         "a.ckpt: this file is of another kind: expected a VAE, got a checkpoint of an unknown family. "
         "The nearest family is SD 1.x, but: channels: 6 instead of 4."),
        (Detection("unknown", "unknown", ("2 tensors, the first is x",)),
         "a.ckpt: this file is of another kind: expected a VAE, got a file of an unknown kind. "
         "It has 2 tensors, the first is x."),
    ],
)  # fmt: skip
def test_refusals_say_what_the_file_is_and_where_it_belongs(detection: Detection, message: str) -> None:
    assert str(wrong_kind(Path("models/a.ckpt"), detection, "a VAE")) == message


def test_detection_and_inspection_need_no_torch() -> None:
    program = "import sys, engine.models.inspect; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
