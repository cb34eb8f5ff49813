"""The parts of the adapters' training that can be checked without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call

from engine.models.control.controlnet import ControlNetModel
from engine.models.control.reading import load_control
from engine.models.text.embeddings import read_embedding
from engine.models.text.tower import tower_states
from training import control, inversion, lora
from training.adapters import with_lora
from training.base import Base, latents_of, load_base
from training.checker import check, furthest_off, read
from training.fitting import Fit
from training.scenes import NOVEL, OUTLINED, SHAPES, Scene, Thing, caption, held_out, random_scene, render

DEMO = Path(__file__).parents[3] / "models" / "checkpoints" / "easel-demo.safetensors"
SHORT = Fit(rate=1e-3, warm_up=1, steps=2, report_every=1)


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base(DEMO)


def test_the_checker_tells_outlines_from_filled_shapes() -> None:
    rng, both = np.random.default_rng(0), (*SHAPES, *OUTLINED)
    scenes = [random_scene(rng) for _ in range(60)]
    assert all(check(render(lora.outlined(scene)), lora.outlined(scene), both).right for scene in scenes)
    assert not any(check(render(scene), lora.outlined(scene), both).shape for scene in scenes)


def test_the_checker_tells_the_new_shape_from_the_known_ones() -> None:
    rng, both = np.random.default_rng(0), (*SHAPES, *NOVEL)
    scenes = [inversion.novel_scene(rng) for _ in range(60)]
    assert all(check(render(scene), scene, both).right for scene in scenes)
    circle = Scene("white", (Thing("circle", "red", "large", 0.5, 0.5),), place="in the centre")
    assert [thing.shape for thing in read(render(circle), both).things] == ["circle"]


def test_scenes_with_the_new_word_say_it_and_keep_to_their_split() -> None:
    rng = np.random.default_rng(0)
    train = [inversion.novel_scene(rng) for _ in range(50)]
    test = [inversion.novel_scene(rng, testing=True) for _ in range(50)]
    assert all(inversion.WORD in caption(scene).split() for scene in (*train, *test))
    assert not any(held_out(scene) for scene in train)
    assert all(held_out(scene) for scene in test)


def test_a_lora_in_its_file_is_the_difference_that_was_trained(base: Base, tmp_path: Path) -> None:
    difference = lora.Difference(base.unet, lora.RANK)
    for up in difference.up.values():
        torch.nn.init.normal_(up, std=0.01)
    lora.export(difference, base, tmp_path / "lora.safetensors")
    x, steps, states = torch.randn(1, 4, 8, 8), torch.tensor([500.0]), torch.randn(1, 77, 128)
    trained = functional_call(base.unet, difference.weights(base.unet), (x, steps, states))
    model = with_lora(base, tmp_path / "lora.safetensors")
    with model.net.lease() as unet, model.changed.applied(unet, model.adapters):
        loaded = unet(x, steps, states)
    assert torch.allclose(loaded, trained, atol=2e-3)
    assert not torch.allclose(loaded, base.unet(x, steps, states), atol=2e-2)


def test_a_lora_of_no_training_changes_nothing(base: Base) -> None:
    changed = lora.Difference(base.unet, 4).weights(base.unet)
    own = base.unet.state_dict()
    assert len(changed) > 50
    assert all(torch.equal(weight, own[name]) for name, weight in changed.items())


def test_short_runs_train_and_repeat_to_the_bit(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "EXAMPLES", 32)
    first, second = (inversion.train(base, tmp_path / name, SHORT) for name in "ab")
    longer = inversion.train(base, tmp_path / "c", replace(SHORT, steps=3))
    assert torch.equal(first, second)
    assert not torch.equal(first, longer)


def test_a_word_in_its_file_is_the_vectors_that_were_trained(tmp_path: Path) -> None:
    vectors = torch.randn(inversion.VECTORS, 128)
    inversion.export(vectors, tmp_path / "word.safetensors")
    (found,) = read_embedding(tmp_path / "word.safetensors")
    assert torch.equal(found, vectors)


def test_latents_are_as_the_sampler_has_them(base: Base) -> None:
    rng = np.random.default_rng(0)
    latents = latents_of(base, [random_scene(rng) for _ in range(40)])
    assert latents.shape == (40, 4, 16, 16)
    assert 0.8 < latents.std().item() < 1.2


def test_the_word_is_read_in_training_as_in_a_prompt(base: Base, tmp_path: Path) -> None:
    word = inversion.Word(base)
    inversion.export(word.vectors.detach(), tmp_path / "word.safetensors")
    named = load_base(DEMO, lambda _name: read_embedding(tmp_path / "word.safetensors"))
    prompt = f"a red {inversion.WORD} above a blue star"
    ids, numbers = inversion.tokens(base, [prompt])
    with torch.no_grad(), word.spoken(base, numbers):
        trained = tower_states(base.tower, ids, {}, -1)[0]
    (asked,) = named.encoder.encode(prompt.replace(inversion.WORD, "embedding:word")).prompts
    assert torch.allclose(trained, asked.tokens, atol=1e-5)


def test_scenes_for_control_stand_anywhere_and_keep_to_their_split() -> None:
    rng = np.random.default_rng(0)
    train = [control.placed_scene(rng) for _ in range(40)]
    test = [control.placed_scene(rng, testing=True) for _ in range(40)]
    assert not any(held_out(scene) for scene in train)
    assert all(held_out(scene) for scene in test)
    assert len({scene.things[0].x for scene in train}) > 15
    for scene in (*train, *test):
        assert len(read(render(scene)).things) == len(scene.things)
        assert furthest_off(render(scene), scene) <= 2


def test_edge_maps_are_thin_lines_about_the_things_alone() -> None:
    scene = Scene("red", (Thing("square", "purple", "large", 0.4, 0.6),))
    (edge,) = control.edges([scene])
    rows, columns = np.nonzero(edge[..., 0].numpy())
    assert edge.unique().tolist() == [0.0, 1.0]
    assert 60 < len(rows) < 120
    assert abs((columns.min() + columns.max() + 1) / 2 - 0.4 * 64) < 1
    assert abs((rows.min() + rows.max() + 1) / 2 - 0.6 * 64) < 1


def test_what_stands_elsewhere_or_is_missing_is_seen() -> None:
    here = Scene("white", (Thing("star", "red", "large", 0.3, 0.5),))
    there = replace(here, things=(replace(here.things[0], x=0.4),))
    assert furthest_off(render(there), here) == pytest.approx(6.4, abs=0.7)
    assert furthest_off(render(Scene("white", ())), here) == np.inf


def test_a_control_net_in_its_file_is_the_net_that_was_trained(base: Base, tmp_path: Path) -> None:
    net = control.control_net(base.unet)
    for out in net.zero_convs:
        torch.nn.init.normal_(out[0].weight, std=0.1)
    control.export(net, tmp_path / "net.safetensors")
    loaded = load_control(tmp_path / "net.safetensors", torch.device("cpu"))
    assert isinstance(loaded, ControlNetModel)
    x, steps, states, hint = (
        torch.randn(1, 4, 16, 16),
        torch.tensor([500.0]),
        torch.randn(1, 77, 128),
        torch.ones(1, 3, 64, 64),
    )
    with loaded.net.lease() as own, torch.no_grad():
        found, trained = (each(x, steps, states, None, each.embedded(hint)) for each in (own, net))
    assert own.config == net.config
    assert all(torch.allclose(a, b, atol=2e-2) for a, b in zip(found, trained, strict=True))


def test_a_control_net_of_no_training_adds_nothing(base: Base) -> None:
    net = control.control_net(base.unet)
    hint = net.embedded(torch.ones(1, 3, 64, 64))
    outputs = net(torch.randn(1, 4, 16, 16), torch.tensor([500.0]), torch.randn(1, 77, 128), None, hint)
    assert hint.shape == (1, 64, 16, 16)
    assert all(not output.any() for output in outputs)
