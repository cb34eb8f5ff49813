"""What a file is, told from tensor names and shapes: families, add-ons, and mutations of the published layouts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.detect import UNET, Detection, Shapes, detect, wrong_kind
from tests import manifests

FAMILIES = {
    "SD 1.x": "sd1",
    "SD 2.x": "sd2",
    "SD x4 upscaler": "sd-x4-upscaler",
    "Stable unCLIP": "sd21-unclip-h",
    "SDXL": "sdxl-base",
    "SDXL refiner": "sdxl-refiner",
    "Stable Video Diffusion": "svd",
}
SD1: Shapes = manifests.checkpoint("sd1")
FIRST = f"{UNET}input_blocks.0.0.weight"


def test_the_published_layout_is_sd1() -> None:
    found = detect(SD1)
    assert (found.kind, found.family, found.nearest) == ("checkpoint", "SD 1.x", None)
    assert {"channels: 4", "projections: convolutions", "context width: 768"} <= set(found.evidence)


@pytest.mark.parametrize(("family", "name"), [*FAMILIES.items(), ("Stable unCLIP", "sd21-unclip-l")])
def test_families_are_told_apart(family: str, name: str) -> None:
    found = detect(manifests.checkpoint(name))
    assert (found.kind, found.family, found.nearest) == ("checkpoint", family, None)


def test_the_control_branch_and_the_depth_net_are_no_checkpoints() -> None:
    assert detect(manifests.manifest("controlnet-sd1", "control")).kind == "controlnet"
    assert detect(manifests.manifest("midas-dpt-hybrid", "depth_model")).kind != "checkpoint"


@pytest.mark.parametrize(
    ("base", "channels", "family"),
    [
        ("SD 1.x", 9, "SD 1.5 inpainting"),
        ("SD 1.x", 8, "InstructPix2Pix"),
        ("SD 2.x", 9, "SD 2.x inpainting"),
        ("SD 2.x", 5, "SD 2.x depth"),
        ("SDXL", 9, "SDXL inpainting"),
        ("SDXL", 8, "SDXL InstructPix2Pix"),
    ],
)
def test_variants_are_told_by_the_channels_they_take(base: str, channels: int, family: str) -> None:
    shapes = manifests.checkpoint(FAMILIES[base])
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
    assert detect({**manifests.checkpoint(FAMILIES[family]), tensor: (8,)}).family == family


def test_a_chinese_text_encoder_makes_taiyi_of_sd1() -> None:
    name = "cond_stage_model.transformer.embeddings.word_embeddings.weight"
    assert detect({**SD1, name: (21128, 768)}).family == "Taiyi"


@pytest.mark.parametrize("name", ["time_embed.cond_proj.weight", "time_embedding.cond_proj.weight"])
@pytest.mark.parametrize("family", ["SD 1.x", "SDXL"])
def test_nets_that_embed_the_guidance_scale_are_of_their_family(family: str, name: str) -> None:
    found = detect({**manifests.checkpoint(FAMILIES[family]), UNET + name: (320, 256)})
    assert found.family == family
    assert "guidance embedding: yes" in found.evidence


@pytest.mark.parametrize(
    ("change", "nearest", "difference"),
    [
        ({FIRST: (320, 6, 3, 3)}, "SD 1.x", f"channels: 6 instead of 4 ({FIRST})"),
        ({f"{UNET}label_emb.0.0.weight": (1280, 99)}, "SD 1.x",
         f"conditioning vector: vector instead of none ({UNET}label_emb.0.0.weight)"),
        ({"cond_stage_model.bloom.weight": (8, 8)}, "SD 1.x",
         "text encoder: another instead of CLIP or none (cond_stage_model.bloom.weight)"),
        ({f"{UNET}input_blocks.1.1.time_stack.0.norm1.weight": (320,)}, "SD 1.x",
         f"time layers: yes instead of no ({UNET}input_blocks.1.1.time_stack.0.norm1.weight)"),
    ],
)  # fmt: skip
def test_an_unknown_family_names_the_nearest_and_what_differs(change: Shapes, nearest: str, difference: str) -> None:
    found = detect({**SD1, **change})
    assert (found.family, found.nearest, found.evidence) == ("unknown", nearest, (difference,))


FOUR_CHANNELS = sorted(FAMILIES.keys() - {"SD x4 upscaler", "Stable Video Diffusion"})


@given(st.sampled_from(FOUR_CHANNELS), st.integers(10, 99))
def test_a_mutated_checkpoint_names_its_family_as_the_nearest_and_the_tensor_that_differs(
    family: str, channels: int
) -> None:
    shapes = manifests.checkpoint(FAMILIES[family])
    found = detect({**shapes, FIRST: (shapes[FIRST][0], channels, 3, 3)})
    assert (found.family, found.nearest) == ("unknown", family)
    assert found.evidence == (f"channels: {channels} instead of 4 ({FIRST})",)


@given(st.sampled_from(list(FAMILIES.values())), st.data())
def test_a_checkpoint_that_lost_a_tensor_is_never_taken_for_a_file_of_another_kind(
    name: str, data: st.DataObject
) -> None:
    shapes = manifests.checkpoint(name)
    lost = data.draw(st.sampled_from(sorted(shapes.keys() - {FIRST})))
    found = detect({key: shape for key, shape in shapes.items() if key != lost})
    assert found.kind == "checkpoint"


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
        ("lora_controlnet", "controlnet"),
        ("task_embedding", "controlnet"),
        ("adapter.body.0.resnets.0.block1.weight", "controlnet"),
        ("body.0.in_conv.weight", "controlnet"),
        ("ip_adapter.1.to_k_ip.weight", "ip_adapter"),
        ("style_embedding", "style_model"),
        ("model.diffusion_model.encoder_pooling.1.positional_embedding", "cascade_stage"),
        ("add_embedding.pool.k_proj.weight", "cascade_stage"),
        ("special_care_embeds", "safety_checker"),
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
         "a.ckpt: this file is of another kind: expected a VAE, got an IP-Adapter (it has x). "
         "It belongs in models/ipadapter."),
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
