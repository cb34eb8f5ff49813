"""Saved models of the families after SD1: laid out as their files are, the same bits, and loaded again by the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.parameterisation import scaled_linear, zero_terminal
from engine.diffusion.predictions import Preconditioned
from engine.models.text.encoder import TextEncoder
from engine.models.text.tower import Recipe
from engine.models.vae import Vae
from engine.node import NodeContext
from nodes import loaders, model_saving
from nodes.adapters import load_lora
from tests.oracles import families
from tests.oracles.sdxl import Base, Refiner
from tests.oracles.systems import PROMPT, System, noise
from tests.unit.nodes.test_merging import Folder

SYSTEMS = {"SD 2.x": System, "SDXL": Base, "SDXL refiner": Refiner}
LOST = ("logit_scale", "position_ids")  # what no picture depends on


@pytest.fixture
def ctx(tmp_path: Path) -> NodeContext:
    ctx = NodeContext(Folder(tmp_path))  # type: ignore[arg-type]
    ctx.save = lambda *args, **_: Folder(tmp_path).save(*args, "output", (0, 0))  # type: ignore[method-assign,assignment]
    return ctx


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, Tensor]]:
    return {name: system().state for name, system in SYSTEMS.items()}


def written(ctx: NodeContext, name: str, state: Mapping[str, Tensor]) -> None:
    save_file({key: weight.contiguous() for key, weight in state.items()}, ctx.file("", name))


def loaded(ctx: NodeContext, name: str, state: Mapping[str, Tensor]) -> tuple[Denoiser, TextEncoder, Vae]:
    written(ctx, name, state)
    return loaders.load_checkpoint_simple(name, ctx)


def same(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> bool:
    """The same names, but for those that say nothing, and the same bits."""
    alike = all(torch.equal(after[name], before[name]) and after[name].dtype == before[name].dtype for name in after)
    return alike and all(name.endswith(LOST) for name in before.keys() - after.keys())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("family", SYSTEMS)
def test_a_saved_checkpoint_has_the_layout_and_the_bits_of_its_file(
    ctx: NodeContext, states: dict[str, dict[str, Tensor]], family: str, dtype: torch.dtype
) -> None:
    state = {name: weight.to(dtype) if weight.ndim else weight for name, weight in states[family].items()}
    model_saving.save_checkpoint(*loaded(ctx, "a.safetensors", state), "b", ctx)
    assert same(state, load_file(ctx.file("", "b.safetensors")))


@pytest.mark.parametrize("family", SYSTEMS)
def test_parts_that_are_saved_alone_are_loaded_by_their_loaders(
    ctx: NodeContext, states: dict[str, dict[str, Tensor]], family: str
) -> None:
    model, clip, _ = loaded(ctx, "a.safetensors", states[family])
    model_saving.save_model(model, "unet", ctx)
    model_saving.save_encoder(clip, "text", ctx)
    again = loaders.load_diffusion_model("unet.safetensors", "default", ctx)
    assert all(torch.equal(weight, model.net.weights()[name]) for name, weight in again.net.weights().items())
    names = [f"text_clip_{tower.recipe.name}.safetensors" for tower in clip.towers]
    if len(names) > 1:
        found = loaders.load_dual_clip(names[1], names[0], "sdxl", ctx=ctx)
        assert torch.equal(found.encode(PROMPT).prompts[0].tokens, clip.encode(PROMPT).prompts[0].tokens)
    else:
        found = loaders.load_clip(names[0], "stable_diffusion", ctx=ctx)
    for own, theirs in zip(clip.towers, found.towers, strict=True):
        expected = own.net.weights()
        assert all(torch.equal(weight, expected[name]) for name, weight in theirs.net.weights().items())
        assert theirs.net.weights().keys() == expected.keys()


def test_the_file_of_a_wide_tower_is_read_as_sd2_reads_it(ctx: NodeContext) -> None:
    net = families.tower(1024, 1, projection=1024)
    written(ctx, "h.safetensors", {name: weight.half() for name, weight in net.state_dict().items()})
    clip = loaders.load_clip("h.safetensors", "stable_diffusion", ctx=ctx)
    model_saving.save_encoder(clip, "text", ctx)
    again = loaders.load_clip("text_clip_h.safetensors", "stable_diffusion", ctx=ctx)
    assert (again.recipe, again.recipe.padding) == (clip.recipe, 0)
    assert torch.equal(again.encode("a").prompts[0].tokens, clip.encode("a").prompts[0].tokens)


def test_adapters_of_both_towers_are_in_what_is_saved(ctx: NodeContext, states: dict[str, dict[str, Tensor]]) -> None:
    model, clip, vae = loaded(ctx, "a.safetensors", states["SDXL"])
    lora: dict[str, Tensor] = {}
    for number, width in ((1, 64), (2, 128)):
        for part in ("self_attn_k_proj", "mlp_fc1"):
            stem = f"lora_te{number}_text_model_encoder_layers_0_{part}"
            rows = 4 * width if part == "mlp_fc1" else width
            lora |= {f"{stem}.lora_up.weight": noise(rows, 2), f"{stem}.lora_down.weight": noise(2, width)}
    written(ctx, "lora.safetensors", lora)
    _, changed = load_lora(model, clip, "lora.safetensors", 0.0, 0.1, ctx)
    model_saving.save_checkpoint(model, changed, vae, "b", ctx)
    again = loaders.load_checkpoint_simple("b.safetensors", ctx)[1]
    told = changed.encode(PROMPT).prompts[0]
    assert not torch.equal(told.tokens, clip.encode(PROMPT).prompts[0].tokens)
    assert torch.equal(again.encode(PROMPT).prompts[0].tokens, told.tokens)
    assert torch.equal(again.encode(PROMPT).prompts[0].pooled, told.pooled)  # type: ignore[arg-type]


def test_what_a_net_predicts_and_on_which_levels_is_saved(
    ctx: NodeContext, states: dict[str, dict[str, Tensor]]
) -> None:
    markers = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    parts = loaded(ctx, "a.safetensors", states["SDXL"] | markers)
    model_saving.save_checkpoint(*parts, "b", ctx)
    again, _, _ = loaders.load_checkpoint_simple("b.safetensors", ctx)
    assert again.prediction is parts[0].prediction
    assert again.levels.sigmas == parts[0].levels.sigmas == zero_terminal(scaled_linear()).sigmas


def test_edm_nets_are_told_by_their_latents_and_saved_with_them(
    ctx: NodeContext, states: dict[str, dict[str, Tensor]]
) -> None:
    mean, deviation = torch.tensor([-1.5, 2.0, -1.25, 2.5]), torch.tensor([8.5, 6.0, 6.5, 5.25])
    markers = {"edm_mean": mean.view(1, 4, 1, 1), "edm_std": deviation.view(1, 4, 1, 1)}
    parts = loaded(ctx, "a.safetensors", states["SDXL"] | markers)
    model_saving.save_checkpoint(*parts, "b", ctx)
    for model in (parts[0], loaders.load_checkpoint_simple("b.safetensors", ctx)[0]):
        assert isinstance(model.prediction, Preconditioned)
        assert (model.levels.sigma_min, model.levels.sigma_max) == pytest.approx((0.002, 80.0))
        assert model.levels.timestep(1.0) == 0.0
        z = noise(1, 4, 4, 4)
        expected = (z - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1) * 0.5
        assert torch.allclose(model.latents.scaled(z), expected, atol=1e-6)


def test_a_net_that_embeds_the_scale_is_saved_under_the_published_name(ctx: NodeContext) -> None:
    state = System(time_cond_proj_dim=256).state
    model, _, _ = loaded(ctx, "a.safetensors", state)
    model_saving.save_model(model, "unet", ctx)
    saved = load_file(ctx.file("", "unet.safetensors"))
    name = "model.diffusion_model.time_embed.cond_proj.weight"
    assert torch.equal(saved[name], state[name])


def test_a_text_encoder_that_needs_a_vocabulary_is_refused(
    ctx: NodeContext, states: dict[str, dict[str, Tensor]]
) -> None:
    clip: Any = loaded(ctx, "a.safetensors", states["SD 2.x"])[1]
    with pytest.raises(model_saving.SavingError, match=r"without its vocabulary.*got BERT.*ModelSave"):
        model_saving.save_encoder(replace(clip, recipe=Recipe("bert")), ctx=ctx)
