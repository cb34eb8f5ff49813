"""Files of every format are read by their names; files that make no sense are refused with the reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.foundation.errors import EaselError
from engine.models.adapters.adapter import family, fitted, for_text, nothing_fits, unmatched, warning
from engine.models.adapters.changes import LowRank
from engine.models.adapters.reading import AdapterError, read_adapter, split
from engine.models.detect import ArchitectureError
from engine.models.nets.unet import UNet, UNetConfig
from tests.unit.models.adapters.files import saved

ONES = torch.ones
UP, DOWN = ONES(64, 4), ONES(4, 64)
QUERY = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def net() -> nn.Module:
    with torch.device("meta"):
        return UNet(
            UNetConfig(
                model_channels=32,
                channel_mult=(1, 2),
                num_res_blocks=1,
                transformer_depth=(0, 1),
                context_channels=768,
            )
        )


@pytest.mark.parametrize(
    ("name", "stem", "part"),
    [
        ("lora_unet_mid_block_x.lora_down.weight", "lora_unet_mid_block_x", "down"),
        ("lora_te_text_model_x.lora_mid.weight", "lora_te_text_model_x", "mid"),
        ("unet.x.attn1.to_q.lora_A.weight", "unet.x.attn1.to_q", "down"),
        ("base_model.model.x.attn1.to_q.lora_B.default.weight", "x.attn1.to_q", "up"),
        ("unet.x.attn1.to_q.lora.down.weight", "unet.x.attn1.to_q", "down"),
        ("unet.x.attn1.processor.to_q_lora.up.weight", "unet.x.attn1.to_q", "up"),
        ("unet.x.attn2.processor.to_out_lora.up.weight", "unet.x.attn2.to_out.0", "up"),
        ("text_encoder.x.self_attn.to_q_lora.up.weight", "text_encoder.x.self_attn.q_proj", "up"),
        ("text_encoder.x.self_attn.q_proj.lora_linear_layer.up.weight", "text_encoder.x.self_attn.q_proj", "up"),
        ("lora_unet_x.hada_w2_b", "lora_unet_x", "hada_w2_b"),
        ("lora_unet_x.lokr_w1", "lora_unet_x", "lokr_w1"),
        ("lora_unet_x.dora_scale", "lora_unet_x", "dora_scale"),
        ("unet.x.lora_magnitude_vector.weight", "unet.x", "magnitude"),
        ("diffusion_model.out.0.diff_b", "diffusion_model.out.0", "diff_b"),
        ("lora_unet_x.a1.weight", "lora_unet_x", "a1"),
        ("lora_unet_x.on_input", "lora_unet_x", "on_input"),
        ("lora_unet_x.oft_blocks", "lora_unet_x", "oft_blocks"),
    ],
)
def test_a_tensors_name_says_the_module_and_the_part(name: str, stem: str, part: str) -> None:
    assert split(name) == (stem, part)


def alpha_of(folder: Path, net: nn.Module, config: dict[str, object]) -> float:
    """Alpha over rank, as the metadata of diffusers says it."""
    tensors = {f"{QUERY}.lora_A.weight": DOWN, f"{QUERY}.lora_B.weight": UP}
    file = saved(folder, tensors, {"lora_adapter_metadata": json.dumps(config)})
    (((change,),)) = fitted(file, net).changes.values()
    assert isinstance(change, LowRank)
    return change.scale


def test_alphas_in_the_metadata_count(tmp_path: Path, net: nn.Module) -> None:
    assert alpha_of(tmp_path, net, {}) == 1.0
    assert alpha_of(tmp_path, net, {"unet.lora_alpha": 8}) == 2.0
    assert alpha_of(tmp_path, net, {"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 12}}) == 3.0
    assert alpha_of(tmp_path, net, {"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn2.to_q": 12}}) == 2.0
    assert alpha_of(tmp_path, net, {"unet.lora_alpha": 8, "unet.use_rslora": True}) == 4.0


def test_metadata_that_is_no_json_is_passed_over(tmp_path: Path) -> None:
    tensors = {f"{QUERY}.lora_A.weight": DOWN, f"{QUERY}.lora_B.weight": UP}
    assert "alpha" not in saved(tmp_path, tensors, {"lora_adapter_metadata": "{"}).entries[QUERY]


def test_names_that_fit_nothing_are_told(tmp_path: Path, net: nn.Module) -> None:
    tensors = {f"{QUERY}.lora_A.weight": DOWN, f"{QUERY}.lora_B.weight": UP, "strange": ONES(1)}
    tensors |= {"unet.elsewhere.lora_A.weight": DOWN.clone(), "unet.elsewhere.lora_B.weight": UP.clone()}
    file = saved(tmp_path, tensors)
    left = unmatched(file, (net,))
    assert sorted(left) == ["strange", "unet.elsewhere"]
    assert warning(file, ["a", "b"]) == "adapter.safetensors: 2 of 3 parts fit nothing in this model: a, b"


@pytest.mark.parametrize(("width", "name"), [(1024, "SD 2.x"), (2048, "SDXL")])
def test_an_adapter_of_another_family_is_refused_by_its_name(
    tmp_path: Path, net: nn.Module, width: int, name: str
) -> None:
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    file = saved(tmp_path, {f"{key}.lora_down.weight": ONES(4, width), f"{key}.lora_up.weight": UP})
    with pytest.raises(
        AdapterError, match=rf"adapter.safetensors, {key}: this adapter does not fit .*It is for {name}\."
    ):
        fitted(file, net)


def test_an_adapter_with_nothing_for_the_model_says_what_it_is_for(tmp_path: Path, net: nn.Module) -> None:
    stem = "lora_unet_double_blocks_0_img_attn_proj"
    file = saved(tmp_path, {f"{stem}.lora_down.weight": DOWN, f"{stem}.lora_up.weight": UP})
    assert not fitted(file, net).changes
    assert family(file) == "Flux"
    assert str(nothing_fits(file)).endswith("It is for Flux.")
    other = saved(tmp_path, {"x.lora_down.weight": DOWN, "x.lora_up.weight": UP})
    assert "another model" in str(nothing_fits(other))


def test_text_parts_are_told_from_others() -> None:
    assert for_text("lora_te_text_model_encoder_layers_0_mlp_fc1")
    assert for_text("text_encoder_2.text_model.x")
    assert not for_text(QUERY)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    broken = DOWN.clone()
    broken[1, 2] = torch.nan
    with pytest.raises(AdapterError, match=f"{QUERY}.*got NaN or infinity in down"):
        saved(tmp_path, {f"{QUERY}.lora_A.weight": broken, f"{QUERY}.lora_B.weight": UP})


def test_files_of_another_kind_are_refused_with_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match=r"expected a LoRA or one of its relatives, got a KL autoencoder"):
        saved(tmp_path, {"decoder.mid.block_1.conv1.weight": ONES(3, 3)})
    with pytest.raises(ArchitectureError, match="a file of an unknown kind"):
        saved(tmp_path, {"something": ONES(3, 3), "else": ONES(2, 2, 2)})


def test_a_file_with_nothing_but_alphas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="expected a LoRA"):
        saved(tmp_path, {"lora_unet_x.alpha": ONES(())})


def test_an_empty_file_is_refused_with_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match=r"adapter\.safetensors: .* expected a LoRA .* It has 0 tensors"):
        saved(tmp_path, {})


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    save_file({f"{QUERY}.lora_A.weight": DOWN, f"{QUERY}.lora_B.weight": UP}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EaselError, match=r"cut\.safetensors") as caught:
        read_adapter(path)
    assert caught.value.code == "truncated_file"


class Runs:
    """A pickle of this would run code."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("run",))


def test_a_pickle_with_code_is_refused_and_one_with_tensors_read(tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(pickle.dumps({"a": Runs()}, protocol=2))
    with pytest.raises(EaselError) as caught:
        read_adapter(path)
    assert caught.value.code == "unsafe_pickle"
    good = tmp_path / "good.pt"
    torch.save({f"{QUERY}.lora_A.weight": DOWN, f"{QUERY}.lora_B.weight": UP}, good)
    assert read_adapter(good).entries.keys() == {QUERY}
