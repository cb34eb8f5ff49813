"""Mixtures of models equal the mixtures of their weights, and what is saved is loaded again as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.predictions import VELOCITY
from engine.memory.handle import ModelHandle
from engine.models.adapters.applying import ChangedWeights, changed_weight, steps_of
from engine.models.checkpoint import load_checkpoint, load_vae
from engine.models.extraction import nearest
from engine.models.merging import MergeError
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.text.encoder import TextEncoder
from engine.models.vae import Vae
from engine.node import NodeContext
from engine.node.context import Note, Warned
from nodes import merging, model_saving
from nodes.adapters import load_lora, load_lora_model_only
from tests.oracles import sd1
from tests.unit.diffusion.nets import noise
from tests.unit.models.adapters.files import diffusers_modules, kohya, pairs

CPU = torch.device("cpu")


class Folder:
    """Files of one folder, into which results go too."""

    device, metadata = CPU, {"prompt": "{}"}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, _kind: str, name: str) -> Path:
        return self.folder / name

    def save(self, data: bytes | memoryview, prefix: str, suffix: str, place: str, size: tuple[int, int]) -> None:
        (self.folder / f"{prefix.replace('/', '_')}{suffix}").write_bytes(data)


@dataclass(frozen=True)
class Parts:
    model: Denoiser
    clip: TextEncoder
    vae: Vae


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    unet, text = sd1.unet((32, 64), 1, 128), sd1.text_encoder(128, 2)
    state = sd1.checkpoint_state(unet, sd1.autoencoder((32, 64), 1), text)
    generator = torch.Generator().manual_seed(5)
    for number in range(3):
        own = {
            n: w + 0.05 * number * torch.randn(w.shape, generator=generator) if w.is_floating_point() else w
            for n, w in state.items()
        }
        save_file({name: weight.contiguous() for name, weight in own.items()}, path / f"{number}.safetensors")
    towers = {"text_model." + n.removeprefix("text_model."): w for n, w in diffusers_modules(text, "q_proj").items()}
    lora = kohya(pairs(diffusers_modules(unet, "to_q", "conv1")), "lora_unet_") | kohya(pairs(towers), "lora_te_")
    save_file(lora, path / "lora.safetensors")
    return path


@pytest.fixture
def notes() -> list[Note]:
    return []


@pytest.fixture
def ctx(folder: Path, notes: list[Note]) -> NodeContext:
    ctx = NodeContext(Folder(folder), report=notes.append)  # type: ignore[arg-type]
    ctx.save = lambda *args, **_: Folder(folder).save(*args, "output", (0, 0))  # type: ignore[method-assign,assignment]
    return ctx


def parts(path: Path) -> Parts:
    found = load_checkpoint(path, CPU)
    assert found.text_encoder is not None
    assert found.vae is not None
    return Parts(denoiser_of(found), found.text_encoder, found.vae)


@pytest.fixture
def three(folder: Path) -> list[Parts]:
    return [parts(folder / f"{number}.safetensors") for number in range(3)]


def weights(of: Denoiser | TextEncoder) -> dict[str, Tensor]:
    """The weights in effect."""
    steps = steps_of(of.adapters)
    return {name: changed_weight(weight, steps.get(name, ())) for name, weight in of.net.weights().items()}


def equal(got: dict[str, Tensor], expected: dict[str, Tensor], within: float = 1e-5) -> bool:
    return got.keys() == expected.keys() and all((got[n] - expected[n]).abs().max() < within for n in got)


def test_simple_mixtures_are_those_of_all_weights(three: list[Parts]) -> None:
    one, other = three[0].model, three[1].model
    mixed = weights(merging.merge_models(one, other, 0.3))
    assert equal(mixed, {n: 0.3 * w + 0.7 * weights(other)[n] for n, w in weights(one).items()})
    assert equal(weights(merging.merge_models(one, other, 1.0)), weights(one), 1e-9)
    text = weights(merging.merge_encoders(three[0].clip, three[1].clip, 0.25))
    theirs = weights(three[1].clip)
    assert equal(text, {n: 0.25 * w + 0.75 * theirs[n] for n, w in weights(three[0].clip).items()})


def test_a_difference_can_be_added_to_a_third(three: list[Parts]) -> None:
    a, b, c = (weights(part.model) for part in three)
    result = merging.add_models(three[2].model, merging.subtract_models(three[1].model, three[0].model, 0.5))
    assert equal(weights(result), {n: c[n] + 0.5 * (b[n] - a[n]) for n in a})
    a, b, c = (weights(part.clip) for part in three)
    text = merging.add_encoders(three[2].clip, merging.subtract_encoders(three[1].clip, three[0].clip, 2.0))
    assert equal(weights(text), {n: c[n] + 2 * (b[n] - a[n]) for n in a})


def test_blocks_have_shares_of_their_own(three: list[Parts]) -> None:
    one, other = three[0].model, three[1].model
    shares = {"input": 0.2, "middle": 0.5, "out": 0.9}
    mixed, ours, theirs = weights(merging.merge_blocks(one, other, 0.2, 0.5, 0.9)), weights(one), weights(other)
    for name in ours:
        share = next((s for prefix, s in shares.items() if name.startswith(prefix)), 0.2)
        assert (mixed[name] - (share * ours[name] + (1 - share) * theirs[name])).abs().max() < 1e-5
    single = weights(
        merging.merge_sd1(one, other, **{**dict.fromkeys(merging.SD1_BLOCKS, 1.0), "input_blocks.1.": 0.0})
    )
    for name in ours:
        expected = theirs if name.startswith("input_blocks.1.") else ours
        assert (single[name] - expected[name]).abs().max() < 1e-6


def test_blocks_of_a_net_have_each_a_name(three: list[Parts]) -> None:
    names = [name for name in weights(three[0].model) if not name.startswith(tuple(merging.SD1_BLOCKS))]
    assert names == []
    assert [name for name in weights(three[0].model) if not name.startswith(tuple(merging.SDXL_BLOCKS))] == []


def test_adapters_of_either_side_and_behind_count(three: list[Parts], ctx: NodeContext) -> None:
    one = load_lora_model_only(three[0].model, "lora.safetensors", 0.5, ctx)
    other = load_lora_model_only(three[1].model, "lora.safetensors", -0.4, ctx)
    mixed = merging.merge_models(one, other, 0.5)
    both = {n: 0.5 * w + 0.5 * weights(other)[n] for n, w in weights(one).items()}
    assert equal(weights(mixed), both)
    behind = load_lora_model_only(mixed, "lora.safetensors", 1.0, ctx)
    alone, plain = weights(load_lora_model_only(three[0].model, "lora.safetensors", 1.0, ctx)), weights(three[0].model)
    assert equal(weights(behind), {n: both[n] + alone[n] - plain[n] for n in both})


def test_a_mixture_leaves_both_as_they_were(three: list[Parts]) -> None:
    x, tokens = noise(1, 4, 8, 8), noise(1, 5, 128)
    before = [part.model.denoise(x, 1.0, tokens) for part in three[:2]]
    mixed = merging.merge_models(three[0].model, three[1].model, 0.5).denoise(x, 1.0, tokens)
    assert not torch.equal(mixed, before[0])
    assert all(torch.equal(part.model.denoise(x, 1.0, tokens), old) for part, old in zip(three, before, strict=False))


def test_models_of_other_families_are_refused_and_other_inputs_told(
    three: list[Parts], ctx: NodeContext, notes: list[Note]
) -> None:
    net = ModelHandle(UNet(replace(config(three[0].model), model_channels=64)), CPU)
    with pytest.raises(MergeError, match="these models are of different families"):
        merging.merge_models(three[0].model, replace(three[0].model, net=net, changed=ChangedWeights()), 0.5)
    nine = ModelHandle(UNet(replace(config(three[0].model), in_channels=9)), CPU)
    wider = replace(three[0].model, net=nine, changed=ChangedWeights())
    mixed = merging.merge_models(three[0].model, wider, 0.5, ctx)
    assert "input_blocks.0.0.weight" not in mixed.adapters[0][0].changes
    (note,) = notes
    assert isinstance(note, Warned)
    assert note.text == "1 weights have no like in the other model and stay as they are: input_blocks.0.0.weight"


def config(model: Denoiser) -> UNetConfig:
    with model.net.lease() as net:
        return net.config


@pytest.mark.parametrize("velocity", [False, True])
def test_a_saved_checkpoint_is_loaded_as_it_was(
    folder: Path, three: list[Parts], ctx: NodeContext, velocity: bool
) -> None:
    model, clip = load_lora(three[0].model, three[0].clip, "lora.safetensors", 0.5, -0.5, ctx)
    model = merging.merge_models(replace(model, prediction=VELOCITY) if velocity else model, three[1].model, 0.5)
    model_saving.save_checkpoint(model, clip, three[0].vae, "again", ctx)
    again = parts(folder / "again.safetensors")
    assert (again.model.prediction is VELOCITY) is velocity
    x, tokens = noise(1, 4, 8, 8), noise(1, 5, 128)
    assert torch.equal(again.model.denoise(x, 1.0, tokens), model.denoise(x, 1.0, tokens))
    assert torch.equal(again.clip.encode("a cat").prompts[0].tokens, clip.encode("a cat").prompts[0].tokens)
    assert torch.equal(again.vae.decode(x), three[0].vae.decode(x))


def test_a_checkpoint_of_nothing_changed_has_the_bits_of_its_file(
    folder: Path, three: list[Parts], ctx: NodeContext
) -> None:
    model_saving.save_checkpoint(three[1].model, three[1].clip, three[1].vae, "same", ctx)
    before, after = load_file(folder / "1.safetensors"), load_file(folder / "same.safetensors")
    assert all(torch.equal(after[name], before[name]) for name in after)
    assert before.keys() - after.keys() == {"cond_stage_model.transformer.text_model.embeddings.position_ids"}


def test_parts_are_saved_under_the_names_of_their_loaders(folder: Path, three: list[Parts], ctx: NodeContext) -> None:
    model_saving.save_model(three[0].model, "unet", ctx)
    model_saving.save_encoder(three[0].clip, "text", ctx)
    model_saving.save_vae(three[0].vae, "vae", ctx)
    assert all(name.startswith("model.diffusion_model.") for name in load_file(folder / "unet.safetensors"))
    assert all(name.startswith("text_model.") for name in load_file(folder / "text_clip_l.safetensors"))
    latent = noise(1, 4, 8, 8)
    assert torch.equal(load_vae(folder / "vae.safetensors", CPU).decode(latent), three[0].vae.decode(latent))


@pytest.mark.parametrize(("kind", "rank", "within"), [("full_diff", 8, 2e-4), ("standard", 4096, 1e-3)])
def test_a_saved_difference_leads_from_the_base_to_the_other(
    folder: Path, three: list[Parts], ctx: NodeContext, notes: list[Note], kind: str, rank: int, within: float
) -> None:
    difference = merging.subtract_models(three[1].model, three[0].model)
    text = merging.subtract_encoders(three[1].clip, three[0].clip)
    model_saving.save_lora("d", rank, lora_type=kind, model_diff=difference, text_encoder_diff=text, ctx=ctx)
    model, clip = load_lora(three[0].model, three[0].clip, "d.safetensors", 1.0, 1.0, ctx)
    assert notes == []
    assert equal(weights(model), weights(three[1].model), within)
    assert equal(weights(clip), weights(three[1].clip), within)


def test_the_extracted_rank_is_the_nearest(ctx: NodeContext, notes: list[Note]) -> None:
    matrix = noise(12, 8, 3, 3)
    up, down = nearest(matrix, 3)
    assert (up.shape, down.shape) == ((12, 3, 1, 1), (3, 8, 3, 3))
    rest = matrix.flatten(1) - up.flatten(1) @ down.flatten(1)
    values = torch.linalg.svdvals(matrix.flatten(1))
    assert torch.allclose(rest.norm(), values[3:].norm(), rtol=1e-4)
    model_saving.save_lora("none", 8, lora_type="standard", ctx=ctx)
    assert len(notes) == 1
