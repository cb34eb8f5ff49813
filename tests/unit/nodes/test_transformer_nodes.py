"""Loaders of transformer models and what those are asked for, called as the functions they are, with tiny files."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.extras import MissingExtraError
from engine.diffusion.guidance import estimates
from engine.models.control.errors import ControlError
from engine.models.detect import ArchitectureError
from engine.models.formats import MissingFileError
from engine.models.labels import LabelError
from engine.models.saving import serialised, unet_weights
from engine.models.text.captions import CaptionEncoder, CaptionError, load_captions
from engine.models.text.tokenizer import TokenizerError
from engine.tensors.values import Conditioning, Image, Prompt, Sizes
from nodes import loaders
from nodes.conditioning import encode_text, set_last_layer
from nodes.model_saving import save_encoder
from nodes.picture_prompts import apply_ip_adapter
from nodes.transformers import (
    IMAGENET,
    class_label,
    encode_pixart_alpha,
    imagenet_label,
    load_dit,
    load_dit_folder,
    load_pixart,
)
from tests.oracles import sd1, transformers
from tests.oracles.uvit import State, uvit_state
from tests.unit.models.test_t5 import SPIECE, tied
from tests.unit.models.test_t5 import oracle as t5
from tests.unit.nodes.test_loaders import KINDS, Models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        (folder / kind).mkdir()
    dit, pixart = transformers.dit(), transformers.pixart(sizes=True)
    states: dict[str, State] = {
        "dit": transformers.dit_state(dit),
        "alpha": transformers.pixart_state(pixart, 120),
        "renamed": dict(pixart.state_dict()),
        "plain": dict(transformers.pixart().state_dict()),
        "uvit": uvit_state(classes=11),
        "words": uvit_state(context=48),
    }
    for name, state in states.items():
        save_file({key: t.contiguous() for key, t in state.items()}, folder / f"diffusion_models/{name}.safetensors")
    return Models(folder)


def text(width: int = 48, length: int = 5) -> Conditioning:
    return Conditioning((Prompt(torch.zeros(1, length, width)),))


def asked(model: Denoiser, conditioning: Conditioning) -> torch.Tensor:
    return estimates(model, torch.zeros(1, 4, 8, 8), 5.0, [conditioning])[0]


def test_the_community_s_loader_takes_every_transformer(models: Models) -> None:
    nets = []
    for name in ("dit", "alpha", "renamed", "uvit"):
        model = loaders.load_diffusion_model(f"{name}.safetensors", "default", models)
        with model.net.look() as net:
            nets.append(type(net).__name__)
    assert nets == ["DiT", "PixArt", "PixArt", "UViT"]


def test_latents_are_those_of_the_version(models: Models) -> None:
    assert load_pixart("alpha.safetensors", ctx=models).latents.scale_factor == 0.18215
    assert load_pixart("plain.safetensors", ctx=models).latents.scale_factor == 0.13025
    assert load_pixart("plain.safetensors", "PixArt-alpha", models).latents.scale_factor == 0.18215


def test_a_net_that_is_told_the_size_is_told_that_of_the_canvas_where_a_prompt_says_none(models: Models) -> None:
    model = load_pixart("alpha.safetensors", ctx=models)
    said = loaders.load_diffusion_model("alpha.safetensors", "default", models)
    assert torch.equal(asked(model, text()), asked(said, text()))
    row = model.extras.vector_for(text().prompts[0], torch.zeros(2, 4, 6, 4), 8, negative=False)
    assert row is not None
    assert row.tolist() == [[48.0, 32.0, 1.5]] * 2


def test_every_class_has_its_name_and_number() -> None:
    assert len(set(IMAGENET)) == 1001
    assert imagenet_label("crane (517)").prompts[0].extras.label == 517
    assert imagenet_label("none").prompts[0].extras.label is None


@pytest.mark.parametrize(("label", "number"), [("tench", 0), ("1000", 1000), ("none", None), ("toilet paper", 999)])
def test_a_class_is_asked_for_by_name_or_number(models: Models, label: str, number: int | None) -> None:
    assert class_label(load_dit("dit.safetensors", ctx=models), label).prompts[0].extras.label == number


def test_none_is_the_last_row_of_the_table(models: Models) -> None:
    model = load_dit("dit.safetensors", ctx=models)
    assert torch.equal(asked(model, imagenet_label("none")), asked(model, class_label(model, "1000")))
    assert not torch.equal(asked(model, imagenet_label("none")), asked(model, class_label(model, "999")))


def test_class_1001_is_refused(models: Models) -> None:
    model = load_dit("dit.safetensors", ctx=models)
    with pytest.raises(MissingExtraError, match=r"input label: .* from 0 to 999, or 1000 for none, got 1001"):
        class_label(model, "1001")


def test_a_class_that_a_smaller_net_lacks_is_refused_when_it_is_asked(models: Models) -> None:
    model = load_dit("uvit.safetensors", ctx=models)
    with pytest.raises(MissingExtraError, match="from 0 to 9, or 10 for none, got 207"):
        asked(model, imagenet_label("golden retriever (207)"))


def test_a_text_for_a_net_of_classes_is_refused(models: Models) -> None:
    with pytest.raises(MissingExtraError, match="paints classes: expected a class, got an encoded text"):
        asked(load_dit("dit.safetensors", ctx=models), text())


def test_a_class_for_a_net_of_words_is_refused(models: Models) -> None:
    model = load_pixart("alpha.safetensors", ctx=models)
    with pytest.raises(MissingExtraError, match="what words say: expected an encoded text, got a class"):
        asked(model, imagenet_label("none"))
    with pytest.raises(LabelError, match="knows no classes"):
        class_label(model, "tench")


def test_a_text_of_another_encoder_is_refused(models: Models) -> None:
    with pytest.raises(MissingExtraError, match="width 48, got 32"):
        asked(load_pixart("alpha.safetensors", ctx=models), text(32))


def test_a_u_vit_takes_as_many_words_as_it_was_trained_with(models: Models) -> None:
    model = load_dit("words.safetensors", ctx=models)
    assert asked(model, text(48, 77)).isfinite().all()
    with pytest.raises(MissingExtraError, match="expected 77 tokens, got 5"):
        asked(model, text(48, 5))


def test_a_file_of_another_kind_is_refused(models: Models) -> None:
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(1, 1)}, models.path / "diffusion_models/lora.safetensors")
    with pytest.raises(ArchitectureError, match="a transformer net"):
        load_dit("lora.safetensors", ctx=models)


def test_an_incomplete_file_names_what_it_lacks(models: Models) -> None:
    state = transformers.dit_state(transformers.dit())
    del state["blocks.1.attn.proj.bias"]
    save_file({key: t.contiguous() for key, t in state.items()}, models.path / "diffusion_models/cut.safetensors")
    with pytest.raises(ArchitectureError, match=r"1 missing .blocks.1.attn.proj.bias"):
        load_dit("cut.safetensors", ctx=models)


def test_a_folder_without_a_transformer_is_refused(models: Models) -> None:
    (models.path / "diffusers/empty").mkdir()
    (models.path / "diffusers/empty/model_index.json").write_text("{}", "utf-8")
    with pytest.raises(MissingFileError, match="empty/transformer"):
        load_dit_folder("empty", ctx=models)


@pytest.fixture(scope="module")
def with_t5(models: Models) -> Models:
    """The models with a T5 that has its tokenizer beside it."""
    folder = models.path / "text_encoders"
    save_file(tied(t5()), folder / "t5xxl.safetensors")
    shutil.copy(SPIECE, folder / "spiece.model")
    return models


def test_the_community_s_loader_takes_t5_for_pixart(with_t5: Models) -> None:
    clip = loaders.load_clip("t5xxl.safetensors", "pixart", None, with_t5)
    (prompt,) = encode_pixart_alpha(64, 32, text=" A large RED circle", clip=clip).prompts
    assert (prompt.extras.sizes, prompt.tokens.shape[-1]) == (Sizes(32, 64, 0, 0, 32, 64), 32)
    assert torch.equal(prompt.tokens, encode_text("a large red circle", clip).prompts[0].tokens)


def test_a_long_prompt_is_cut_at_300_tokens(with_t5: Models) -> None:
    clip = loaders.load_clip("t5xxl.safetensors", "pixart", None, with_t5)
    assert clip.encode("red circle " * 400).prompts[0].tokens.shape[1] == 300


def test_nodes_that_change_clip_refuse_t5(with_t5: Models) -> None:
    clip: Any = loaders.load_clip("t5xxl.safetensors", "pixart", None, with_t5)
    with pytest.raises(CaptionError, match=r"input clip: this text encoder is a T5"):
        set_last_layer(clip, -2)
    with pytest.raises(CaptionError):
        save_encoder(clip)


def test_a_t5_without_its_tokenizer_says_where_to_put_it(models: Models, tmp_path: Path) -> None:
    save_file(tied(t5()), tmp_path / "alone.safetensors")
    with pytest.raises(TokenizerError, match=r"tokenizer.json or spiece.model"):
        load_captions(tmp_path / "alone.safetensors", models.device)


def test_a_folder_of_pixart_is_a_model_a_text_encoder_and_an_autoencoder(tmp_path: Path, with_t5: Models) -> None:
    folder = with_t5.path / "diffusers" / "pixart"
    vae = sd1.autoencoder((32, 64), 1)
    vae.register_to_config(scaling_factor=0.13025)
    net = transformers.pixart(context=32)
    for part, module in (("transformer", net), ("vae", vae), ("text_encoder", t5())):
        module.save_pretrained(folder / part)
    (folder / "tokenizer").mkdir()
    shutil.copy(SPIECE, folder / "tokenizer")
    (folder / "model_index.json").write_text('{"_class_name": "PixArtAlphaPipeline"}', "utf-8")
    model, clip, _ = loaders.load_diffusers("pixart", with_t5)
    assert isinstance(clip, CaptionEncoder)
    assert (model.latents.scale_factor, clip.length) == (0.13025, 120)
    words = clip.encode("a red circle")
    own = load_pixart("plain.safetensors", ctx=with_t5)
    assert asked(model, words).isfinite().all()
    with model.net.look() as there, own.net.look() as here:
        assert (there.config.span, here.config.span) == (4.0, 32.0)


def test_a_folder_of_dit_has_no_text_encoder(with_t5: Models) -> None:
    folder = with_t5.path / "diffusers" / "dit"
    transformers.dit().save_pretrained(folder / "transformer")
    (folder / "model_index.json").write_text('{"_class_name": "DiTPipeline"}', "utf-8")
    with pytest.raises(loaders.IncompleteCheckpointError, match="no text encoder"):
        loaders.load_diffusers("dit", with_t5)
    with pytest.raises(loaders.IncompleteCheckpointError, match="no autoencoder"):
        load_dit_folder("dit", ctx=with_t5)


def test_a_saved_transformer_is_the_same_model(models: Models) -> None:
    model = load_dit("dit.safetensors", ctx=models)
    path = models.path / "diffusion_models/saved.safetensors"
    path.write_bytes(serialised(unet_weights(model.net, ()), {}))
    again = loaders.load_diffusion_model("saved.safetensors", "default", models)
    label = class_label(model, "tench")
    assert torch.equal(asked(again, label), asked(model, label))


def test_rounded_weights_are_computed_with_as_usual(models: Models) -> None:
    model = loaders.load_diffusion_model("dit.safetensors", "fp8_e4m3fn", models)
    whole = load_dit("dit.safetensors", ctx=models)
    label = class_label(model, "tench")
    rounded, exact = asked(model, label), asked(whole, label)
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).std() < 0.2 * exact.std()


def test_a_picture_prompt_is_for_unets(models: Models) -> None:
    model = load_dit("dit.safetensors", ctx=models)
    adapter: Any = SimpleNamespace(name="ip", wants_states=True, tokens=lambda _seen: torch.zeros(1, 1, 8))
    tower: Any = SimpleNamespace(encode=lambda _image: None, nothing=lambda: None)
    with pytest.raises(ControlError, match="expected a model with a UNet, got a DiT"):
        apply_ip_adapter(model, adapter, Image(torch.zeros(1, 8, 8, 3)), clip_vision=tower)
