"""What steers a model, damaged, cut short, of another base or without its companions, run as people run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.oracles import control, families, pictures, sd1, vision
from tests.oracles.sdxl import Base
from tests.oracles.systems import System, sd1_unet
from tests.oracles.upscalers import GOLDEN, weights_of
from tests.unit.app.test_bad_input import PROMPT, Place

HINT_NET = (16, 16, 32, 32)
WIDTHS, CONTEXT = (32, 64, 64), 128  # of the tiny SD1 net, and of its tokens
SDXL, SD1 = 2048, 768  # widths of the tokens of real nets
FILE = "x.safetensors"
State = dict[str, Tensor]
Prompt = dict[str, Any]


@cache
def checkpoint(family: str) -> State:
    """A tiny checkpoint of SD1 or SDXL, with cells of eight pixels."""
    return Base().state if family == "SDXL" else System(old=True, vae=sd1.autoencoder((32, 32, 32, 32), 1)).state


@cache
def tiny_unet() -> Any:
    return sd1_unet()


@cache
def unet_for(context: int) -> Any:
    """A UNet of SDXL's kind whose tokens are so wide."""
    return families.linear_unet((64, 64, 128), (0, 1, 2), context, vector=128 + 6 * 256, kind="sizes")


def controlnet(unet: Any) -> State:
    return control.controlnet_state(control.controlnet(unet, hint=HINT_NET))


def boxes(context: int = CONTEXT) -> State:
    return control.gligen_states(control.gated_unet(WIDTHS, context))[1]


def upscaler() -> State:
    return weights_of(json.loads((GOLDEN / "upscalers.json").read_text("utf-8"))["esrgan_x4_real"])


def with_nodes(feeds: dict[tuple[str, str], list[Any]], **nodes: dict[str, Any]) -> Prompt:
    """The plain prompt with more nodes by number (`n7=...`), and with inputs of others that come from them."""
    prompt = deepcopy(PROMPT)
    for number, node in nodes.items():
        inputs = {name: value for name, value in node.items() if name != "class_type"}
        prompt[number.removeprefix("n")] = {"class_type": node["class_type"], "inputs": inputs}
    for (number, name), source in feeds.items():
        prompt[number]["inputs"][name] = source
    return prompt


PICTURE = {"class_type": "EmptyImage", "width": 64, "height": 64, "batch_size": 1, "color": 255}
SEEING = {"class_type": "CLIPVisionLoader", "clip_name": "tower.safetensors"}
APPLY = {
    "class_type": "ControlNetApplyAdvanced", "positive": ["2", 0], "negative": ["2", 0], "control_net": ["7", 0],
    "image": ["8", 0], "strength": 1.0, "start_percent": 0.0, "end_percent": 1.0,
}  # fmt: skip
LOOK = {
    "class_type": "IPAdapterAdvanced", "model": ["1", 0], "ipadapter": ["7", 0], "image": ["8", 0], "weight": 1.0,
    "weight_type": "linear", "combine_embeds": "concat", "start_at": 0.0, "end_at": 1.0, "embeds_scaling": "V only",
}  # fmt: skip
BOX = {
    "class_type": "GLIGENTextBoxApply", "conditioning_to": ["2", 0], "clip": ["1", 1], "gligen_textbox_model": ["7", 0],
    "text": "a dog", "width": 32, "height": 32, "x": 0, "y": 0,
}  # fmt: skip
STYLE = {
    "class_type": "StyleModelApply", "conditioning": ["2", 0], "style_model": ["7", 0], "clip_vision_output": ["11", 0],
    "strength": 1.0, "strength_type": "multiply",
}  # fmt: skip
SEEN = {"class_type": "CLIPVisionEncode", "clip_vision": ["10", 0], "image": ["8", 0], "crop": "center"}

HINTED = with_nodes(
    {("4", "positive"): ["9", 0], ("4", "negative"): ["9", 1]},
    n7={"class_type": "ControlNetLoader", "control_net_name": FILE}, n8=PICTURE, n9=APPLY,
)  # fmt: skip
LOOKED = with_nodes(
    {("4", "model"): ["9", 0]},
    n7={"class_type": "IPAdapterModelLoader", "ipadapter_file": FILE}, n8=PICTURE, n10=SEEING,
    n9={**LOOK, "clip_vision": ["10", 0]},
)  # fmt: skip
BOXED = with_nodes({("4", "positive"): ["9", 0]}, n7={"class_type": "GLIGENLoader", "gligen_name": FILE}, n9=BOX)
STYLED = with_nodes(
    {("4", "positive"): ["9", 0]},
    n7={"class_type": "StyleModelLoader", "style_model_name": FILE}, n8=PICTURE, n9=STYLE, n10=SEEING, n11=SEEN,
)  # fmt: skip
ENLARGED = with_nodes(
    {("6", "images"): ["9", 0]},
    n7={"class_type": "UpscaleModelLoader", "model_name": FILE}, n8=PICTURE,
    n9={"class_type": "ImageUpscaleWithModel", "upscale_model": ["7", 0], "image": ["8", 0]},
)  # fmt: skip

KINDS: dict[str, tuple[Prompt, str, Callable[[], State]]] = {
    "ControlNet": (HINTED, "controlnet", lambda: controlnet(tiny_unet())),
    "T2I-Adapter": (HINTED, "controlnet", lambda: control.adapter_state(control.adapter(WIDTHS))),
    "IP-Adapter": (LOOKED, "ipadapter", lambda: pictures.flat(pictures.ip_adapter(tiny_unet(), "plain", 48))),
    "GLIGEN": (BOXED, "gligen", boxes),
    "style model": (STYLED, "style_models", lambda: pictures.style_state(128, CONTEXT)),
    "upscaler": (ENLARGED, "upscale_models", upscaler),
}


@pytest.fixture
def place(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> Place:
    place = Place(tmp_path, capsys)
    write(place, "checkpoints", checkpoint("SD1"), "model.safetensors")
    write(place, "clip_vision", vision.tower().state_dict(), "tower.safetensors")
    return place


def write(place: Place, kind: str, state: State, name: str = FILE) -> None:
    folder = place.base / "models" / kind
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / name)


def fails(place: Place, prompt: Prompt, *words: str) -> None:
    """The run ends without a picture, and says all of `words`."""
    status, error = place.run(place.write(prompt))
    assert status == 1
    assert [word for word in words if word not in error] == [], error
    assert place.results() == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_file_works_when_it_is_sound(place: Place, kind: str) -> None:
    prompt, folder, make = KINDS[kind]
    write(place, folder, make())
    status, error = place.run(place.write(prompt))
    assert (status, error) == (0, "")
    assert len(place.results()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_no_numbers_are_told_with_the_file(place: Place, kind: str) -> None:
    prompt, folder, make = KINDS[kind]
    state = make()
    damaged = next(name for name in sorted(state) if state[name].ndim > 1 and "hint" not in name)
    write(place, folder, state | {damaged: torch.full_like(state[damaged], torch.nan)})
    fails(place, prompt, FILE, "got a sound picture" if kind == "upscaler" else "NaN or infinity", "again")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_short_is_to_be_fetched_again(place: Place, kind: str) -> None:
    prompt, folder, make = KINDS[kind]
    write(place, folder, make())
    path = place.base / "models" / folder / FILE
    path.write_bytes(path.read_bytes()[:-100])
    fails(place, prompt, f"{prompt['7']['class_type']} 7", FILE, "cut short", "expected", "got", "Download it again")


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_in_its_place_is_told_as_what_it_is(place: Place, kind: str) -> None:
    prompt, folder, _ = KINDS[kind]
    write(place, folder, checkpoint("SD1"))
    fails(place, prompt, f"{prompt['7']['class_type']} 7", FILE, "got a checkpoint of SD 1", "expected")


OTHERS: dict[str, tuple[str, str, Callable[[], State], str]] = {
    "a ControlNet of SDXL on SD1": ("SD1", "ControlNet", lambda: controlnet(unet_for(SDXL)), "SDXL (tokens"),
    "a ControlNet of SD1 on SDXL": (
        "SDXL", "ControlNet", lambda: controlnet(control.gated_unet(WIDTHS, SD1)), "SD 1.x (tokens",
    ),
    "a T2I-Adapter of SDXL on SD1": (
        "SD1", "T2I-Adapter", lambda: control.adapter_state(control.adapter((64, 64, 128), "full_adapter_xl")),
        "features of 64, 64, 128 channels instead of 32, 64, 64",
    ),
    "an IP-Adapter of SDXL on SD1": (
        "SD1", "IP-Adapter", lambda: pictures.flat(pictures.ip_adapter(unet_for(SDXL), "plain", 48)), "SDXL (tokens",
    ),
    "boxes of SD1 on SDXL": ("SDXL", "GLIGEN", boxes, "got one for tokens of width 128"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_was_made_for_another_base_says_for_which(place: Place, name: str) -> None:
    family, kind, make, words = OTHERS[name]
    prompt, folder, _ = KINDS[kind]
    write(place, "checkpoints", checkpoint(family), "model.safetensors")
    write(place, folder, make())
    fails(place, prompt, FILE, words, "expected")


def test_an_adapter_for_pictures_asks_for_the_image_encoder_that_is_missing(place: Place) -> None:
    write(place, "ipadapter", KINDS["IP-Adapter"][2]())
    alone = deepcopy(LOOKED)
    del alone["9"]["inputs"]["clip_vision"], alone["10"]
    fails(place, alone, "IPAdapterAdvanced 9", "an image encoder is missing", "Connect the node CLIPVisionLoader")


def test_an_image_encoder_that_an_adapter_was_not_trained_with_is_told(place: Place) -> None:
    write(place, "ipadapter", KINDS["IP-Adapter"][2]())
    write(place, "clip_vision", vision.tower(projection=40).state_dict(), "tower.safetensors")
    fails(place, LOOKED, "another image encoder", "expected one of width 48", "got 40", "was trained with")


def test_differences_without_their_model_ask_for_the_loader_that_takes_it(place: Place) -> None:
    write(place, "controlnet", {**controlnet(tiny_unet()), "difference": torch.ones(())})
    fails(place, HINTED, "ControlNetLoader 7", FILE, "differences to a model", "DiffControlNetLoader")


def test_a_checkpoint_without_an_image_encoder_says_that_it_has_none(place: Place) -> None:
    prompt = deepcopy(PROMPT)
    prompt["1"]["class_type"] = "unCLIPCheckpointLoader"
    fails(
        place,
        prompt,
        "unCLIPCheckpointLoader 1",
        "model.safetensors",
        "expected an image tower",
        "got a checkpoint of SD 1",
    )


def test_a_pair_of_text_encoders_that_is_one_twice_says_which_is_missing(place: Place) -> None:
    write(place, "text_encoders", sd1.text_encoder_state(families.tower(64, 3)))
    pair = {"class_type": "DualCLIPLoader", "clip_name1": FILE, "clip_name2": FILE, "type": "sdxl"}
    fails(place, with_nodes({("2", "clip"): ["7", 0]}, n7=pair), "DualCLIPLoader 7", FILE)


def test_a_tiny_autoencoder_without_its_files_says_where_they_belong(place: Place) -> None:
    prompt = with_nodes({("5", "vae"): ["7", 0]}, n7={"class_type": "VAELoader", "vae_name": "taesd"})
    fails(place, prompt, "VAELoader 7", "taesd", "vae_approx")
