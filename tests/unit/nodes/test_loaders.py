"""Loaders and the conditioning of single families, called as the functions they are, with tiny files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.extras import MissingExtraError
from engine.diffusion.predictions import EPSILON, VELOCITY
from engine.foundation.errors import EaselError
from engine.models.detect import ArchitectureError
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.vae import VaeError
from engine.models.vision.tower import ImageStates
from engine.node import NodeContext
from engine.store.folders import Folders
from engine.tensors.values import Conditioning, Image, Mask, Prompt, Sizes
from nodes import families as nodes
from nodes import loaders
from nodes.adapters import load_lora
from nodes.vision import encode_image, unclip_conditioning
from tests.oracles import families, sd1, tiny, vision
from tests.oracles.systems import PROMPT, System, noise

CPU = torch.device("cpu")
KINDS = (
    "checkpoints",
    "vae",
    "vae_approx",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "diffusers",
    "configs",
    "loras",
)


@dataclass
class Models:
    """A run's surroundings: model folders below one folder."""

    path: Path
    device: torch.device = field(default_factory=lambda: CPU)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def file(self, kind: str, name: str) -> Path:
        return Folders({kind: (self.path / kind,) for kind in KINDS}).find(kind, name)

    def save(self, *_: Any) -> Any:
        raise AssertionError


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for kind in KINDS:
        (tmp_path / kind).mkdir()
    return tmp_path


@pytest.fixture
def ctx(models: Path) -> NodeContext:
    return NodeContext(Models(models))


def write(path: Path, state: dict[str, Tensor]) -> None:
    save_file({name: weight.contiguous() for name, weight in state.items()}, path)


def part(system: System, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): w for name, w in system.state.items() if name.startswith(prefix)}


def test_parts_loaded_apart_are_those_of_the_checkpoint(models: Path, ctx: NodeContext) -> None:
    system = System(old=True)
    write(models / "checkpoints" / "whole.safetensors", system.state)
    write(models / "diffusion_models" / "unet.safetensors", part(system, "model.diffusion_model."))
    write(models / "text_encoders" / "clip.safetensors", part(system, "cond_stage_model.transformer."))
    write(models / "vae" / "vae.safetensors", part(system, "first_stage_model."))
    model, clip, vae = loaders.load_checkpoint_simple("whole.safetensors", ctx)
    tokens, x = clip.encode(PROMPT).prompts[0].tokens, noise(1, 4, 8, 8)
    unet = loaders.load_diffusion_model("unet.safetensors", "default", ctx)
    other_clip = loaders.load_clip("clip.safetensors", "stable_diffusion", ctx=ctx)
    pairs = (
        (unet.denoise(x, 1.0, tokens), model.denoise(x, 1.0, tokens)),
        (other_clip.encode(PROMPT).prompts[0].tokens, tokens),
        (loaders.load_vae_file("vae.safetensors", ctx).decode(x), vae.decode(x)),
    )
    assert all((own - whole).abs().max() < 1e-5 for own, whole in pairs)  # places in memory change the last bit


@pytest.mark.parametrize("names", ["original", "checkpoint", "diffusers"])
def test_a_unet_loads_in_the_names_of_every_layout(models: Path, ctx: NodeContext, names: str) -> None:
    system = System()
    bare = part(system, "model.diffusion_model.")
    states = {
        "original": bare,
        "checkpoint": families.prefixed("model.diffusion_model.", bare),
        "diffusers": dict(system.unet.state_dict()),
    }
    write(models / "diffusion_models" / "unet.safetensors", states[names])
    model = loaders.load_diffusion_model("unet.safetensors", "default", ctx)
    x, tokens = noise(1, 4, 8, 8), noise(1, 77, 128)
    expected = x - system.unet(x / 2**0.5, model.levels.timestep(1.0), tokens).sample
    assert (model.denoise(x, 1.0, tokens) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", ["fp8_e4m3fn", "fp8_e5m2", "fp8_e4m3fn_fast"])
def test_fp8_rounds_the_weights(models: Path, ctx: NodeContext, dtype: str) -> None:
    write(models / "diffusion_models" / "unet.safetensors", part(System(old=True), "model.diffusion_model."))
    whole, rounded = (loaders.load_diffusion_model("unet.safetensors", kind, ctx) for kind in ("default", dtype))
    x, tokens = noise(1, 4, 8, 8), noise(1, 77, 128)
    gap = (whole.denoise(x, 1.0, tokens) - rounded.denoise(x, 1.0, tokens)).abs().max()
    assert 1e-3 < gap < 1


@pytest.mark.parametrize(("said", "prediction"), [("v", VELOCITY), ("eps", EPSILON), (None, EPSILON)])
def test_a_configuration_overrides_what_is_detected(
    models: Path, ctx: NodeContext, said: str | None, prediction: Any
) -> None:
    write(models / "checkpoints" / "whole.safetensors", System().state)
    params = {"timesteps": 1000} | ({} if said is None else {"parameterization": said})
    (models / "configs" / "v2.yaml").write_text(yaml.safe_dump({"model": {"params": params}}))
    model, _, _ = loaders.load_checkpoint_with_config("v2.yaml", "whole.safetensors", ctx)
    assert model.prediction == prediction


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {params: {parameterization: x0}}", "got x0"),
        ("- 1", "no configuration of a checkpoint"),
        ("a: [", "cannot be read"),
    ],
)
def test_configurations_that_say_nothing_sensible_are_refused(
    models: Path, ctx: NodeContext, text: str, message: str
) -> None:
    (models / "configs" / "v2.yaml").write_text(text)
    with pytest.raises(ArchitectureError, match=message):
        loaders.load_checkpoint_with_config("v2.yaml", "whole.safetensors", ctx)


def test_a_prompt_of_another_family_is_told(models: Path, ctx: NodeContext) -> None:
    write(models / "checkpoints" / "whole.safetensors", System().state)
    model, _, _ = loaders.load_checkpoint_simple("whole.safetensors", ctx)
    with pytest.raises(MissingExtraError, match="another text encoder: expected tokens of width 128, got 96"):
        model.denoise(noise(1, 4, 8, 8), 1.0, noise(1, 77, 96))


def test_weights_that_are_no_numbers_end_in_an_error_not_in_a_picture(models: Path, ctx: NodeContext) -> None:
    system = System(old=True)
    name = "model.diffusion_model.out.2.bias"
    system.state[name] = torch.full_like(system.state[name], torch.nan)
    write(models / "checkpoints" / "whole.safetensors", system.state)
    model, _, vae = loaders.load_checkpoint_simple("whole.safetensors", ctx)
    latents = model.denoise(noise(1, 4, 8, 8), 1.0, noise(1, 77, 128))
    with pytest.raises(VaeError, match="not a number: got latents that are none either"):
        vae.decode(latents)


def test_a_file_that_was_cut_off_is_told(models: Path, ctx: NodeContext) -> None:
    path = models / "checkpoints" / "whole.safetensors"
    write(path, System(old=True).state)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EaselError, match=r"whole\.safetensors"):
        loaders.load_checkpoint_simple("whole.safetensors", ctx)


def test_an_autoencoder_given_as_a_unet_is_told(models: Path, ctx: NodeContext) -> None:
    write(models / "diffusion_models" / "vae.safetensors", part(System(old=True), "first_stage_model."))
    with pytest.raises(ArchitectureError, match=r"expected a UNet.*got a KL autoencoder.*belongs in models/vae"):
        loaders.load_diffusion_model("vae.safetensors", "default", ctx)


def test_a_checkpoint_without_a_text_encoder_says_how_to_go_on(models: Path, ctx: NodeContext) -> None:
    state = families.prefixed("model.diffusion_model.", part(System(old=True), "model.diffusion_model."))
    write(models / "checkpoints" / "unet.safetensors", state)
    with pytest.raises(loaders.IncompleteCheckpointError, match=r"has no text encoder.*UNETLoader"):
        loaders.load_checkpoint_simple("unet.safetensors", ctx)


def test_a_folder_is_found_by_its_name(models: Path, ctx: NodeContext) -> None:
    system = System(old=True)
    folder = models / "diffusers" / "makers" / "tiny"
    for name, net in (("unet", system.unet), ("vae", system.vae), ("text_encoder", system.text)):
        net.save_pretrained(folder / name)
    (folder / "model_index.json").write_text("{}")
    found = Folders({"diffusers": (models / "diffusers",)})
    assert found.list("diffusers") == ("makers/tiny",)
    model, clip, _ = loaders.load_diffusers("makers/tiny", ctx)
    tokens = clip.encode(PROMPT).prompts[0].tokens
    expected = noise(1, 4, 8, 8) - system.unet(noise(1, 4, 8, 8) / 2**0.5, model.levels.timestep(1.0), tokens).sample
    assert (model.denoise(noise(1, 4, 8, 8), 1.0, tokens) - expected).abs().max() < 1e-5


def test_a_folders_fingerprint_changes_with_any_of_its_files(models: Path) -> None:
    folder = models / "diffusers" / "tiny"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    (folder / "unet" / "a.safetensors").write_text("1")
    found = Folders({"diffusers": (models / "diffusers",)})
    before = found.fingerprint("diffusers", "tiny")
    (folder / "unet" / "a.safetensors").write_text("12")
    assert before
    assert found.fingerprint("diffusers", "tiny") != before


@pytest.mark.parametrize("files", ["halves", "one"])
def test_tiny_autoencoders_equal_diffusers(models: Path, ctx: NodeContext, files: str) -> None:
    net: AutoencoderTiny = tiny.autoencoder()
    folder = models / "vae_approx"
    if files == "halves":
        for name in ("encoder", "decoder"):
            torch.save(tiny.half(net, name), folder / f"taesdxl_{name}.pth")
    else:
        write(folder / "taesdxl.safetensors", dict(net.state_dict()))
    vae = loaders.load_vae_file("taesdxl", ctx)
    pixels, latents = torch.rand(1, 16, 24, 3), noise(1, 4, 4, 4)
    encoded = net.encode(pixels.movedim(-1, 1) * 2 - 1).latents / 0.13025
    decoded = (net.decode(latents * 0.13025).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert (vae.downscale, vae.latent_channels) == (8, 4)
    assert (vae.encode(pixels) - encoded).abs().max() < 1e-5
    assert (vae.decode(latents) - decoded).abs().max() < 1e-5


def test_half_of_a_tiny_autoencoder_does_its_half(models: Path, ctx: NodeContext) -> None:
    torch.save(tiny.half(tiny.autoencoder(), "decoder"), models / "vae_approx" / "taesd_decoder.pth")
    vae = loaders.load_vae_file("taesd", ctx)
    assert vae.decode(noise(1, 4, 2, 2)).shape == (1, 16, 16, 3)
    with pytest.raises(ArchitectureError, match="this tiny autoencoder has no encoder"):
        vae.encode(torch.rand(1, 16, 16, 3))


def test_a_tiny_autoencoder_without_files_says_so(ctx: NodeContext) -> None:
    with pytest.raises(
        loaders.IncompleteCheckpointError, match=r"taesd, .*this tiny autoencoder has no file: .*vae_approx"
    ):
        loaders.load_vae_file("taesd", ctx)


def test_pixel_space_is_no_autoencoder(ctx: NodeContext) -> None:
    vae, pixels = loaders.load_vae_file("pixel_space", ctx), torch.rand(1, 5, 7, 3)
    assert torch.allclose(vae.encode(pixels), pixels.movedim(-1, 1) * 2 - 1)
    assert torch.allclose(vae.decode(vae.encode(pixels)), pixels, atol=1e-6)


def test_unclips_checkpoint_brings_its_image_encoder(models: Path, ctx: NodeContext) -> None:
    system, tower = System(vector=2 * 48, kind="projection"), vision.tower()
    system.state |= families.prefixed("embedder.model.visual.", vision.open_clip_state(tower))
    write(models / "checkpoints" / "unclip.safetensors", system.state)
    _, clip, _, encoder = loaders.load_unclip("unclip.safetensors", ctx)
    seen = encode_image(encoder, Image(torch.rand(1, 30, 40, 3)), "center")
    prompts = unclip_conditioning(clip.encode(PROMPT), seen, 0.7, 0.1)
    (extra,) = prompts.prompts[0].extras.seen
    assert torch.equal(extra.embedding, seen.embeddings)
    assert (extra.strength, extra.noise) == (0.7, 0.1)
    assert len(unclip_conditioning(prompts, seen, 1.0, 0.0).prompts[0].extras.seen) == 2
    assert unclip_conditioning(prompts, seen, 0.0, 0.0) is prompts


def test_an_image_encoder_loads_from_a_file_of_its_own(models: Path, ctx: NodeContext) -> None:
    tower = vision.tower()
    write(models / "clip_vision" / "clip.safetensors", tower.state_dict())
    encoder = loaders.load_clip_vision("clip.safetensors", ctx)
    wide = Image(torch.rand(1, 28, 56, 3))
    whole, cut = encode_image(encoder, wide, "none"), encode_image(encoder, wide, "center")
    assert isinstance(whole, ImageStates)
    assert not torch.allclose(whole.embeddings, cut.embeddings)


def test_sdxls_pair_and_its_sizes(models: Path, ctx: NodeContext) -> None:
    first, second = families.tower(64, 3, activation="quick_gelu"), families.tower(128, 3, projection=96)
    write(models / "text_encoders" / "l.safetensors", first.state_dict())
    write(models / "text_encoders" / "g.safetensors", second.state_dict())
    clip = loaders.load_dual_clip("l.safetensors", "g.safetensors", "sdxl", "cpu", ctx)
    encoded = nodes.encode_sdxl(clip, 1, 2, 3, 4, 5, 6, text_g="dog", text_l="cat").prompts[0]
    assert encoded.extras.sizes == Sizes(2, 1, 4, 3, 6, 5)
    assert torch.equal(encoded.tokens, clip.encode("cat", "dog").prompts[0].tokens)
    single = loaders.load_clip("g.safetensors", "stable_diffusion", ctx=ctx)
    refined = nodes.encode_sdxl_refiner(7.5, 10, 20, text="cat", clip=single).prompts[0]
    assert (refined.extras.score, refined.extras.sizes) == (7.5, Sizes(20, 10, 0, 0, 20, 10))
    assert nodes.encode_sdxl(single, text_g="dog", text_l="cat").prompts[0].tokens.shape == (1, 77, 128)


def test_a_lora_changes_both_towers_of_sdxl(models: Path, ctx: NodeContext) -> None:
    unet = families.linear_unet((64, 64, 128), (0, 1, 1), 192, vector=128 + 6 * 256, kind="sizes")
    first, second = families.tower(64, 2, activation="quick_gelu"), families.tower(128, 2, projection=128)
    write(models / "diffusion_models" / "unet.safetensors", families.unet_state(unet))
    write(models / "text_encoders" / "l.safetensors", first.state_dict())
    write(models / "text_encoders" / "g.safetensors", second.state_dict())
    names = {f"lora_te{i}_text_model_encoder_layers_0_mlp_fc1": net for i, net in ((1, first), (2, second))}
    lora = {}
    for name, net in names.items():
        own = "encoder.layers.0.mlp.fc1" if net is first else "text_model.encoder.layers.0.mlp.fc1"
        weight = net.get_submodule(own).weight
        up, down = noise(weight.shape[0], 2) / 8, noise(2, weight.shape[1]) / 8
        lora |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down, f"{name}.alpha": torch.tensor(2.0)}
        weight += 0.5 * up @ down
    write(models / "loras" / "both.safetensors", lora)
    model = loaders.load_diffusion_model("unet.safetensors", "default", ctx)
    clip = loaders.load_dual_clip("l.safetensors", "g.safetensors", "sdxl", ctx=ctx)
    _, changed = load_lora(model, clip, "both.safetensors", 0.0, 0.5, ctx)
    ids = ClipTokenizer.load().encode(PROMPT)
    left = first(families.ids(ids, families.END), output_hidden_states=True).hidden_states[-2]
    right = second(families.ids(ids, 0), output_hidden_states=True)
    made, plain = (encoder.encode(PROMPT).prompts[0] for encoder in (changed, clip))
    assert (made.tokens - torch.cat([left, right.hidden_states[-2]], dim=-1)).abs().max() < 1e-5
    assert made.pooled is not None
    assert (made.pooled - right.text_embeds).abs().max() < 1e-5
    assert (plain.tokens - made.tokens)[..., :64].abs().max() > 1e-3
    assert (plain.tokens - made.tokens)[..., 64:].abs().max() > 1e-3


def blank() -> Conditioning:
    return Conditioning((Prompt(torch.zeros(1, 77, 8)),))


def test_a_masked_picture_is_cropped_with_its_mask(models: Path, ctx: NodeContext) -> None:
    write(models / "vae" / "vae.safetensors", sd1.autoencoder_state(sd1.autoencoder((32, 64), 1)))
    vae = loaders.load_vae_file("vae.safetensors", ctx)
    pixels, mask = Image(torch.rand(1, 17, 16, 3)), Mask(torch.zeros(1, 34, 32))
    mask[:, :16] = 1
    positive, _, latent = nodes.inpaint_conditioning(blank(), blank(), vae, pixels, mask)
    hidden = pixels[:, :16].clone()
    hidden[:, :8] = 0.5
    shown = positive.prompts[0].extras
    assert latent.noise_mask is not None
    assert latent.noise_mask.shape == (1, 16, 16)
    assert shown.picture is not None
    assert torch.allclose(shown.picture, vae.encode(hidden), atol=1e-5)
    assert torch.allclose(latent.samples, vae.encode(pixels[:, :16]))
    assert nodes.inpaint_conditioning(blank(), blank(), vae, pixels, mask, False)[2].noise_mask is None


@pytest.mark.parametrize(("ratio", "cells"), [(4.0, (8, 12)), (2.0, (4, 6)), (0.0, (1, 1))])
def test_the_canvas_of_the_x4_upscaler_has_a_cell_for_four_pixels(ratio: float, cells: tuple[int, int]) -> None:
    shown, _, latent = nodes.upscale_conditioning(Image(torch.zeros(2, 8, 12, 3)), blank(), blank(), ratio, 0.2)
    assert latent.samples.shape == (2, 4, *cells)
    assert (latent.empty, latent.downscale) == (True, 4)
    picture = shown.prompts[0].extras.picture
    assert picture is not None
    assert picture.shape == (2, 3, *cells)
    assert (picture == -1).all()
