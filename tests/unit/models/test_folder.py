"""diffusers' folders: the same nets as from single files, whatever form their parts have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTokenizer, CLIPTokenizerFast

from engine.models.checkpoint import Checkpoint
from engine.models.detect import ArchitectureError
from engine.models.folder import load_folder, part_weights
from engine.models.formats import MissingFileError
from engine.models.text.tokenizer import ClipTokenizer, TokenizerError
from tests.oracles import families, sd1, systems
from tests.oracles.folders import saved, taiyi
from tests.oracles.systems import PROMPT, System, noise

CPU = torch.device("cpu")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # diffusers' own


def answers(checkpoint: Checkpoint, *more: Tensor) -> list[Tensor]:
    """What the parts of a checkpoint make of fixed inputs."""
    assert checkpoint.text_encoder is not None
    assert checkpoint.vae is not None
    tokens = checkpoint.text_encoder.encode(PROMPT).prompts[0].tokens
    with checkpoint.unet.lease() as net:
        x = noise(1, net.config.in_channels, 8, 8)
        predicted = net(x, torch.tensor([400.0]), tokens, *more)
    return [
        tokens,
        predicted,
        checkpoint.vae.decode(noise(1, 4, 4, 4)),
        checkpoint.vae.encode(torch.rand(1, 8, 8, 3) * 0 + 0.3),
    ]


def gaps(one: list[Tensor], other: list[Tensor]) -> list[float]:
    return [float((a - b).abs().max()) for a, b in zip(one, other, strict=True)]


SYSTEMS: dict[str, Any] = {
    "SD 1.x": lambda: System(old=True),
    "SD 1.5 inpainting": lambda: System(old=True, channels=9),
    "SD 2.x": System,
    "SD 2.x depth": lambda: System(channels=5),
    "SD 1.x of consistency": lambda: System(old=True, unet=systems.sd1_unet(time_cond_proj_dim=256)),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_folder_gives_what_the_single_file_gives(tmp_path: Path, name: str) -> None:
    system = SYSTEMS[name]()
    if not system.old:  # folders hold SD2's tower without the last layer, which is not used
        del system.text.encoder.layers[-1]
        system.text.config.num_hidden_layers -= 1
    own = load_folder(saved(system, tmp_path / "folder"), CPU)
    assert own.family.name == name.removesuffix(" of consistency")
    assert max(gaps(answers(own), answers(system.loaded(tmp_path)))) < 1e-6


def test_sdxls_folder_has_two_towers(tmp_path: Path) -> None:
    unet = families.linear_unet((64, 64, 128), (0, 1, 2), 192, vector=128 + 6 * 256, kind="sizes")
    system = System(unet=unet)
    system.text = families.tower(64, 3, activation="quick_gelu")
    second = families.tower(128, 3, projection=128)
    system.vae.register_to_config(scaling_factor=0.13025)
    folder = saved(system, tmp_path / "folder")
    second.save_pretrained(folder / "text_encoder_2")
    own = load_folder(folder, CPU)
    assert (own.family.name, own.scale_factor) == ("SDXL", 0.13025)
    assert own.text_encoder is not None
    prompt = own.text_encoder.encode(PROMPT).prompts[0]
    ids = ClipTokenizer.load().encode(PROMPT)
    left = system.text(families.ids(ids, families.END), output_hidden_states=True).hidden_states[-2]
    right = second(families.ids(ids, 0), output_hidden_states=True)
    assert (prompt.tokens - torch.cat([left, right.hidden_states[-2]], dim=-1)).abs().max() < 1e-5
    assert prompt.pooled is not None
    assert (prompt.pooled - right.text_embeds).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("told", "prediction", "zero"),
    [({}, "epsilon", False), ({"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, "v", True)],
)
def test_the_schedulers_configuration_is_heeded(tmp_path: Path, told: Any, prediction: str, zero: bool) -> None:
    own = load_folder(saved(System(), tmp_path / "folder", **told), CPU)
    assert (own.prediction, own.zero_terminal) == (prediction, zero)


def test_the_autoencoders_scale_is_heeded(tmp_path: Path) -> None:
    system = System(old=True)
    system.vae.register_to_config(scaling_factor=0.5)
    assert load_folder(saved(system, tmp_path / "folder"), CPU).scale_factor == 0.5


def test_unclips_statistics_are_read(tmp_path: Path) -> None:
    folder = saved(System(vector=96, kind="projection"), tmp_path / "folder", prediction_type="v_prediction")
    normaliser = StableUnCLIPImageNormalizer(48)
    normaliser.mean.data.normal_()
    normaliser.save_pretrained(folder / "image_normalizer")
    own = load_folder(folder, CPU)
    assert own.family.name == "Stable unCLIP"
    assert own.statistics is not None
    assert torch.equal(own.statistics[0], normaliser.mean.data)


def as_pickle(path: Path) -> None:
    torch.save(load_file(path), path.with_suffix(".bin"))


def as_variant(path: Path) -> None:
    save_file({name: t.half() for name, t in load_file(path).items()}, path.with_suffix(".fp16.safetensors"))


def as_shards(path: Path) -> None:
    tensors = load_file(path)
    names = sorted(tensors)
    shards = {f"{path.stem}-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    for shard, part in shards.items():
        save_file({name: tensors[name] for name in part}, path.with_name(shard))
    table = {name: shard for shard, part in shards.items() for name in part}
    path.with_name(f"{path.name}.index.json").write_text(json.dumps({"weight_map": table}))


@pytest.mark.parametrize("form", [as_pickle, as_variant, as_shards])
def test_parts_of_every_form_are_read(tmp_path: Path, form: Any) -> None:
    sd1.autoencoder((32, 64), 1).save_pretrained(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    whole = load_file(path)
    form(path)
    path.unlink()
    found = part_weights(tmp_path)
    assert found.keys() == whole.keys()
    assert all(torch.allclose(found[name].float(), whole[name], atol=1e-3) for name in whole)


def test_a_part_without_weights_is_named(tmp_path: Path) -> None:
    folder = saved(System(old=True), tmp_path / "folder")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(MissingFileError, match="folder/unet: a part of this folder has no weights"):
        load_folder(folder, CPU)


def test_text_towers_load_with_and_without_the_prefix_of_their_names(tmp_path: Path) -> None:
    system = System(old=True)
    folder = saved(system, tmp_path / "folder")
    path = folder / "text_encoder" / "model.safetensors"
    bare = {name.removeprefix("text_model."): weight for name, weight in load_file(path).items()}
    made = []
    for prefix in ("", "text_model."):
        save_file({prefix + name: weight for name, weight in bare.items()}, path)
        made.append(answers(load_folder(folder, CPU)))
    assert gaps(*made) == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", [CLIPTokenizer, CLIPTokenizerFast])
def test_tokenizers_of_both_forms_are_read(tmp_path: Path, kind: Any) -> None:
    tokenizer = ClipTokenizer.load()
    words = tokenizer._tokenizer.get_vocab()
    merges = json.loads(tokenizer._tokenizer.to_str())["model"]["merges"]
    if kind is CLIPTokenizer:
        (tmp_path / "vocab.json").write_text(json.dumps(words))
        lines = "\n".join(" ".join(pair) for pair in merges)
        (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{lines}\n")
    else:
        kind(vocab=words, merges=[tuple(pair) for pair in merges]).save_pretrained(tmp_path)
    read = ClipTokenizer.read(tmp_path)
    for text in (PROMPT, "Größe 12 #3 it's", "cat " * 100, ""):
        assert read.encode(text) == tokenizer.encode(text)


def test_a_folder_without_tokenizer_has_the_usual_one(tmp_path: Path) -> None:
    assert ClipTokenizer.read(tmp_path) is ClipTokenizer.load()


def test_a_damaged_tokenizer_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match="this tokenizer cannot be read"):
        ClipTokenizer.read(tmp_path)


def test_taiyi_reads_chinese_through_bert(tmp_path: Path) -> None:
    folder, reference = taiyi(tmp_path / "taiyi")
    own = load_folder(folder, CPU)
    assert own.family.name == "Taiyi"
    assert own.text_encoder is not None
    tokens = own.text_encoder.encode("一只猫 cats").prompts[0].tokens
    row = [2, 4, 5, 6, 7, 8, 3, *[0] * 9]
    expected = reference(torch.tensor([row])).last_hidden_state
    assert expected.std() > 0.05
    assert tokens.shape == (1, 16, 128)
    assert (tokens - expected).abs().max() < 1e-5


def test_long_chinese_prompts_are_cut_into_rows(tmp_path: Path) -> None:
    folder, _ = taiyi(tmp_path / "taiyi")
    own = load_folder(folder, CPU)
    assert own.text_encoder is not None
    assert own.text_encoder.encode("猫 " * 20).prompts[0].tokens.shape == (1, 32, 128)
    assert own.text_encoder.encode("(猫:1.3) a").prompts[0].tokens.isfinite().all()


def test_taiyi_in_a_single_file_says_what_is_missing(tmp_path: Path) -> None:
    system, (_, bert) = System(old=True), taiyi(tmp_path / "taiyi")
    clip = "cond_stage_model.transformer."
    state = {name: weight for name, weight in system.state.items() if not name.startswith(clip)}
    system.state = state | families.prefixed(clip, bert.state_dict())
    with pytest.raises(ArchitectureError, match=r"needs a vocabulary.*DiffusersLoader"):
        system.loaded(tmp_path)


def test_a_folder_of_an_unknown_family_is_told(tmp_path: Path) -> None:
    folder = saved(System(old=True, channels=6), tmp_path / "folder")
    with pytest.raises(ArchitectureError, match=r"folder: .*nearest family is SD 1\.x, but: channels: 6 instead of 4"):
        load_folder(folder, CPU)


def test_an_autoencoder_in_diffusers_names_is_read(tmp_path: Path) -> None:
    net: AutoencoderKL = sd1.autoencoder((32, 64), 1)
    net.save_pretrained(tmp_path)
    from engine.models.checkpoint import load_vae

    latents = noise(1, 4, 4, 4)
    own = load_vae(tmp_path / "diffusion_pytorch_model.safetensors", CPU).decode(latents)
    expected = (net.decode(latents).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert (own - expected).abs().max() < 1e-5
