"""Single-file checkpoints: nets equal to diffusers and transformers, whatever dress the file comes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.checkpoint import Checkpoint, load_checkpoint, load_vae
from engine.models.detect import ArchitectureError
from engine.store.safetensors_header import read_header

CPU = torch.device("cpu")
UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."


@pytest.fixture
def write(reference: Any, tmp_path: Path) -> Callable[..., Path]:
    """Writes the reference's weights after a change; `parts` keeps only names with these beginnings."""

    def write(change: Callable[[str, Tensor], Tensor] = lambda _, w: w, parts: tuple[str, ...] = (), **extra: Tensor):
        state = {name: change(name, weight) for name, weight in reference.state.items() if name.startswith(parts or "")}
        path = tmp_path / "model.safetensors"
        save_file({name: weight.contiguous() for name, weight in (state | extra).items()}, path)
        return path

    return write


def unet_gap(checkpoint: Checkpoint, reference: Any) -> float:
    x, context, steps = torch.randn(2, 4, 9, 11), torch.randn(2, 5, 128), torch.tensor([3.0, 980.0])
    with checkpoint.unet.lease() as net:
        return float((net(x, steps, context) - reference.unet(x, steps, context).sample).abs().max())


def test_the_unet_equals_diffusers(checkpoint: Checkpoint, reference: Any) -> None:
    assert unet_gap(checkpoint, reference) < 1e-5


def test_the_unets_output_is_not_trivial(reference: Any) -> None:
    out = reference.unet(torch.randn(1, 4, 8, 8), torch.tensor([500.0]), torch.randn(1, 5, 128)).sample
    assert 0.05 < out.std() < 20


def test_what_follows_from_the_file_is_told(checkpoint: Checkpoint) -> None:
    assert checkpoint.detection.family == "SD 1.x"
    assert (checkpoint.latent_channels, checkpoint.downscale, checkpoint.scale_factor) == (4, 2, 0.18215)
    assert checkpoint.prediction == "epsilon"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_widened_on_the_cpu(write: Any, reference: Any, dtype: torch.dtype) -> None:
    checkpoint = load_checkpoint(write(lambda _, w: w.to(dtype) if w.is_floating_point() else w), CPU)
    assert checkpoint.unet.dtype == torch.float32
    assert 0 < unet_gap(checkpoint, reference) < 0.1


def test_ema_weights_schedule_buffers_and_float_position_ids_are_ignored(write: Any, reference: Any) -> None:
    ids = f"{CLIP}text_model.embeddings.position_ids"
    extra = {"model_ema.diffusion_modelinput_blocks00weight": torch.ones(3), "alphas_cumprod": torch.ones(1000)}
    checkpoint = load_checkpoint(write(lambda name, w: w.float() if name == ids else w, **extra), CPU)
    assert unet_gap(checkpoint, reference) < 1e-5
    assert checkpoint.text_encoder is not None
    assert checkpoint.text_encoder.encode("a cat").prompts[0].tokens.isfinite().all()


def test_a_file_of_the_unet_alone_has_no_text_encoder_and_no_vae(write: Any) -> None:
    checkpoint = load_checkpoint(write(parts=(UNET,)), CPU)
    assert (checkpoint.text_encoder, checkpoint.vae, checkpoint.downscale) == (None, None, 8)


def test_the_marker_of_v_prediction_is_seen(write: Any) -> None:
    assert load_checkpoint(write(parts=(UNET,), v_pred=torch.tensor([])), CPU).prediction == "v"


def test_a_pickled_checkpoint_nested_in_training_state_loads(reference: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"global_step": 7, "state_dict": reference.state}, path)
    assert unet_gap(load_checkpoint(path, CPU), reference) < 1e-5


def test_weights_stay_mapped_to_the_file(checkpoint: Checkpoint, checkpoint_file: Path) -> None:
    names = ("out.2.weight", "time_embed.0.weight")
    first, second = (read_header(checkpoint_file).tensors[UNET + name].offsets[0] for name in names)
    with checkpoint.unet.lease() as net:
        places = [net.get_parameter(name).data_ptr() for name in names]
    assert places[1] - places[0] == second - first


def test_a_missing_tensor_is_named(write: Any, reference: Any) -> None:
    state = {name for name in reference.state if name.startswith(UNET)} - {f"{UNET}out.0.bias"}
    with pytest.raises(ArchitectureError, match=r"1 missing \(out\.0\.bias\)"):
        load_checkpoint(write(parts=tuple(state)), CPU)


def test_an_unknown_tensor_in_the_unet_is_named(write: Any) -> None:
    with pytest.raises(ArchitectureError, match=r"1 unknown \(middle_block\.1\.fuser\.alpha\)"):
        load_checkpoint(write(**{f"{UNET}middle_block.1.fuser.alpha": torch.ones(1)}), CPU)


def test_a_tensor_of_another_shape_is_named(write: Any) -> None:
    name = f"{UNET}time_embed.2.bias"
    with pytest.raises(ArchitectureError, match=r"time_embed\.2\.bias \(5,\) instead of \(128,\)"):
        load_checkpoint(write(lambda n, w: torch.ones(5) if n == name else w), CPU)


def test_a_text_encoder_without_layers_is_refused(write: Any) -> None:
    with pytest.raises(ArchitectureError, match="the text encoder is incomplete"):
        load_checkpoint(write(parts=(UNET, f"{CLIP}text_model.embeddings")), CPU)


def test_a_lora_given_as_a_checkpoint_is_told(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_file({"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": torch.ones(4, 4)}, path)
    with pytest.raises(ArchitectureError) as caught:
        load_checkpoint(path, CPU)
    assert "a LoRA (kohya)" in caught.value.got
    assert caught.value.hint == "It belongs in models/loras."


def test_a_checkpoint_of_an_unknown_family_names_the_nearest(write: Any) -> None:
    name = f"{UNET}label_emb.0.0.weight"
    with pytest.raises(ArchitectureError, match=r"nearest family is SD 1\.x, but: conditioning vector: vector"):
        load_checkpoint(write(**{name: torch.ones(4, 4)}), CPU)


@pytest.mark.parametrize("prefix", [VAE, ""])
def test_an_autoencoder_loads_from_a_file_of_its_own(reference: Any, tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "vae.safetensors"
    parts = {name.removeprefix(VAE): weight for name, weight in reference.state.items() if name.startswith(VAE)}
    save_file({prefix + name: weight.contiguous() for name, weight in parts.items()}, path)
    assert load_vae(path, CPU).decode(torch.ones(1, 4, 3, 3)).shape == (1, 6, 6, 3)


@pytest.mark.parametrize(
    "old", [("query", "key", "value", "proj_attn", "norm"), ("to_q", "to_k", "to_v", "to_out.0", "group_norm")]
)
def test_old_names_and_linear_shapes_of_the_middle_attention_load(
    reference: Any, tmp_path: Path, checkpoint: Checkpoint, old: tuple[str, ...]
) -> None:
    path, renamed = tmp_path / "vae.safetensors", {}
    for name, weight in reference.state.items():
        if name.startswith(VAE):
            for new, was in zip(("q", "k", "v", "proj_out", "norm"), old, strict=True):
                name = name.replace(f"attn_1.{new}.", f"attn_1.{was}.")
            renamed[name.removeprefix(VAE)] = weight.squeeze().contiguous() if "attn_1" in name else weight.contiguous()
    save_file(renamed, path)
    latents = torch.randn(1, 4, 3, 3)
    assert checkpoint.vae is not None
    assert torch.equal(load_vae(path, CPU).decode(latents), checkpoint.vae.decode(latents))


def test_a_checkpoint_without_autoencoder_given_as_one_is_told(write: Any) -> None:
    with pytest.raises(ArchitectureError, match=r"expected an autoencoder .*got a checkpoint of SD 1"):
        load_vae(write(parts=(UNET,)), CPU)
