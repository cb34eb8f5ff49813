"""Files that do not fit where they are used, run as people run them: who, got what, expected what, what to do."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.oracles import families
from tests.unit.app.test_bad_input import DEMO, PROMPT, Place

KEY = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    place = Place(tmp_path, capsys)
    (place.models / "model.safetensors").symlink_to(DEMO)
    return place


def written(place: Place, kind: str, tensors: dict[str, Tensor], name: str = "x.safetensors") -> None:
    folder = place.base / "models" / kind
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)


def part(prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in load_file(DEMO).items() if n.startswith(prefix)}


def with_node(class_type: str, feeds: dict[tuple[str, str], int], **inputs: Any) -> dict[str, Any]:
    """The prompt with one more node, whose outputs feed inputs of others."""
    prompt = deepcopy(PROMPT)
    prompt["7"] = {"class_type": class_type, "inputs": inputs}
    for (number, name), slot in feeds.items():
        prompt[number]["inputs"][name] = ["7", slot]
    return prompt


LORA = with_node(
    "LoraLoader", {("4", "model"): 0, ("2", "clip"): 1}, model=["1", 0], clip=["1", 1], lora_name="x.safetensors",
    strength_model=1.0, strength_clip=1.0,
)  # fmt: skip
UNET = with_node("UNETLoader", {("4", "model"): 0}, unet_name="x.safetensors", weight_dtype="default")
VAE = with_node("VAELoader", {("5", "vae"): 0}, vae_name="x.safetensors")
CLIP = with_node("CLIPLoader", {("2", "clip"): 0}, clip_name="x.safetensors", type="stable_diffusion")
HYPER = with_node(
    "HypernetworkLoader", {("4", "model"): 0}, model=["1", 0], hypernetwork_name="x.safetensors", strength=1.0
)
PIXELS = with_node("VAEEncode", {("4", "latent_image"): 0}, pixels=["8", 0], vae=["9", 0])
PIXELS["8"] = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}}
PIXELS["9"] = {"class_type": "VAELoader", "inputs": {"vae_name": "pixel_space"}}


def low_rank(width: int, value: float = 0.1) -> dict[str, Tensor]:
    down, up = torch.full((4, width), value), torch.full((640, 4), value)
    return {f"{KEY}.lora_down.weight": down, f"{KEY}.lora_up.weight": up}


CASES: dict[str, tuple[dict[str, Any], str, Callable[[], dict[str, Tensor]], list[str]]] = {
    "a LoRA of SDXL": (LORA, "loras", lambda: low_rank(2048), ["LoraLoader 7", "x.safetensors", "It is for SDXL"]),
    "an empty LoRA": (LORA, "loras", dict, ["LoraLoader 7", "x.safetensors", "expected a LoRA", "0 tensors"]),
    "a LoRA of alphas": (
        LORA, "loras", lambda: {f"{KEY}.alpha": torch.ones(())}, ["LoraLoader 7", "expected a LoRA", "got a LoRA"],
    ),
    "a LoRA of NaN": (
        LORA, "loras", lambda: low_rank(768, float("nan")), ["LoraLoader 7", "NaN or infinity", "training went wrong"],
    ),
    "a VAE as a LoRA": (
        LORA, "loras", lambda: part("first_stage_model."), ["LoraLoader 7", "expected a LoRA", "models/vae"],
    ),
    "a VAE as a UNet": (
        UNET, "diffusion_models", lambda: part("first_stage_model."),
        ["UNETLoader 7", "expected a UNet", "got a KL autoencoder", "models/vae"],
    ),
    "a UNet as a VAE": (
        VAE, "vae", lambda: part("model.diffusion_model."),
        ["VAELoader 7", "expected an autoencoder", "got a UNet", "models/diffusion_models"],
    ),
    "a VAE of NaN": (
        VAE, "vae", lambda: {n: t * float("nan") for n, t in part("first_stage_model.").items()},
        ["VAEDecode 5", "not a number", "got sound latents", "another checkpoint, VAE or precision"],
    ),
    "a VAE as a text encoder": (
        CLIP, "text_encoders", lambda: part("first_stage_model."),
        ["CLIPLoader 7", "expected a CLIP text encoder", "got a KL autoencoder", "models/vae"],
    ),
    "a hypernetwork of another width": (
        HYPER, "hypernetworks",
        lambda: {f"999.{side}.linear.{layer}.weight": torch.zeros(999, 999) for side in (0, 1) for layer in (0, 1)},
        ["HypernetworkLoader 7", "one of the widths", "got 999", "another family"],
    ),
    "latents of another model": (
        PIXELS, "vae", dict, ["KSampler 4", "another model", "expected 4 channels", "got shape (1, 3,", "the VAE that"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_file_is_told_by_the_node_that_was_given_it(place: Place, name: str) -> None:
    prompt, kind, make, words = CASES[name]
    written(place, kind, {n: t.contiguous() for n, t in make().items()})
    status, error = place.run(place.write(prompt))
    assert status == 1
    assert [word for word in words if word not in error] == [], error
    assert place.results() == []


@pytest.mark.parametrize(("prompt", "kind"), [(LORA, "loras"), (UNET, "diffusion_models"), (VAE, "vae")])
def test_a_file_that_was_cut_short_is_to_be_fetched_again(place: Place, prompt: dict[str, Any], kind: str) -> None:
    written(place, kind, low_rank(768))
    path = place.base / "models" / kind / "x.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    status, error = place.run(place.write(prompt))
    assert status == 1
    loader = prompt["7"]["class_type"]
    for word in (f"{loader} 7", "x.safetensors", "cut short", "expected", "got", "Download it again"):
        assert word in error


def test_weights_that_are_no_numbers_are_told_before_a_picture_is_saved(place: Place) -> None:
    (place.models / "model.safetensors").unlink()
    name = "model.diffusion_model.out.2.weight"
    written(place, "checkpoints", load_file(DEMO) | {name: torch.full_like(load_file(DEMO)[name], float("nan"))},
            "model.safetensors")  # fmt: skip
    status, error = place.run(place.write(PROMPT))
    assert (status, place.results()) == (1, [])
    for word in ("VAEDecode 5", "not a number", "latents that are none either", "Weights are damaged"):
        assert word in error


def test_a_prompt_of_another_text_encoder_is_told(place: Place) -> None:
    written(place, "text_encoders", dict(families.tower(64, 1).state_dict()))
    status, error = place.run(place.write(CLIP))
    assert status == 1
    for word in ("KSampler 4", "another text encoder", "expected tokens of width", "got 64", "was trained with"):
        assert word in error


def test_a_checkpoint_without_companions_says_which_loaders_bring_them(place: Place) -> None:
    (place.models / "model.safetensors").unlink()
    prefix = "model.diffusion_model."
    written(place, "checkpoints", {prefix + n: t for n, t in part(prefix).items()}, "model.safetensors")
    status, error = place.run(place.write(PROMPT))
    assert status == 1
    for word in ("CheckpointLoaderSimple 1", "model.safetensors", "has no text encoder", "CLIPLoader"):
        assert word in error


@pytest.mark.parametrize(("mode", "size"), [("L", (64, 64)), ("RGBA", (64, 64)), ("RGB", (70, 61)), ("1", (64, 64))])
def test_pictures_of_any_channels_and_size_are_encoded(place: Place, mode: str, size: tuple[int, int]) -> None:
    Picture.new(mode, size).save(place.base / "input" / "x.png")
    prompt = with_node("VAEEncode", {("4", "latent_image"): 0}, pixels=["8", 0], vae=["1", 2])
    prompt["8"] = {"class_type": "LoadImage", "inputs": {"image": "x.png"}}
    assert place.run(place.write(prompt))[0] == 0
    assert len(place.results()) == 1


def test_a_picture_smaller_than_a_cell_is_told(place: Place) -> None:
    Picture.new("RGB", (1, 1)).save(place.base / "input" / "x.png")
    prompt = with_node("VAEEncode", {("4", "latent_image"): 0}, pixels=["8", 0], vae=["1", 2])
    prompt["8"] = {"class_type": "LoadImage", "inputs": {"image": "x.png"}}
    status, error = place.run(place.write(prompt))
    assert status == 1
    for word in ("VAEEncode 7", "too small", "expected at least", "got 1 x 1"):
        assert word in error
