"""Scenes, captions, the split, and a checker that reads pictures right and refuses wrong ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.checker import check, read
from training.scenes import (
    COLOURS,
    RADII,
    RELATIONS,
    SHAPES,
    SIZE,
    Scene,
    Thing,
    caption,
    held_out,
    random_scene,
    render,
)


def two_things() -> Scene:
    first, second = Thing("circle", "red", "small", 0.5, 17 / 64), Thing("star", "blue", "large", 0.5, 47 / 64)
    return Scene("yellow", (first, second), relation="above")


def with_first(**changes: str) -> Scene:
    scene = two_things()
    return replace(scene, things=(replace(scene.things[0], **changes), scene.things[1]))


def test_the_checker_reads_two_hundred_drawings_right() -> None:
    rng = np.random.default_rng(0)
    scenes = [random_scene(rng, testing=i % 2 == 0) for i in range(200)]
    wrong = [caption(scene) for scene in scenes if not check(render(scene), scene).right]
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "circle"])
def test_another_shape_is_seen_as_wrong(shape: str) -> None:
    assert not check(render(with_first(shape=shape)), two_things()).shape


@pytest.mark.parametrize("colour", [colour for colour in COLOURS if colour not in ("red", "yellow")])
def test_another_colour_is_seen_as_wrong(colour: str) -> None:
    verdict = check(render(with_first(colour=colour)), two_things())
    assert verdict.shape
    assert not verdict.colour


@pytest.mark.parametrize("size", ["medium", "large"])
def test_another_size_is_seen_as_wrong(size: str) -> None:
    assert not check(render(with_first(size=size)), two_things()).size


def test_another_background_is_seen_as_wrong() -> None:
    verdict = check(render(replace(two_things(), background="green")), two_things())
    assert not verdict.background
    assert verdict.colour


def test_a_missing_or_an_extra_thing_is_seen_as_wrong() -> None:
    scene = two_things()
    extra = Thing("square", "green", "small", 0.1, 0.5)
    assert not check(render(replace(scene, things=scene.things[:1])), scene).right
    assert not check(render(replace(scene, things=(*scene.things, extra))), scene).right


def test_the_wrong_relation_is_seen_as_wrong() -> None:
    scene = two_things()
    swapped = replace(
        scene,
        things=(replace(scene.things[0], y=scene.things[1].y), replace(scene.things[1], y=scene.things[0].y)),
    )
    assert not check(render(swapped), scene).right


def test_noise_and_blur_are_seen_as_wrong() -> None:
    scene = two_things()
    noise = np.random.default_rng(0).random((SIZE, SIZE, 3), dtype=np.float32)
    flat = np.full((SIZE, SIZE, 3), render(scene).mean(axis=(0, 1)), dtype=np.float32)
    assert not check(noise, scene).right
    assert not check(flat, scene).right


def test_a_reading_names_what_is_there() -> None:
    reading = read(render(two_things()))
    assert reading.background == "yellow"
    assert {(thing.size, thing.colour, thing.shape) for thing in reading.things} == {
        ("small", "red", "circle"),
        ("large", "blue", "star"),
    }


def test_training_never_draws_what_is_held_out() -> None:
    rng = np.random.default_rng(1)
    assert not any(held_out(random_scene(rng)) for _ in range(500))
    assert all(held_out(random_scene(rng, testing=True)) for _ in range(100))


def test_every_word_of_the_held_out_scenes_is_seen_in_training() -> None:
    rng = np.random.default_rng(2)
    words = {word for _ in range(800) for word in caption(random_scene(rng)).split()}
    held = {word for _ in range(300) for word in caption(random_scene(rng, testing=True)).split()}
    assert held <= words
    assert {*SHAPES, *COLOURS, *RADII} <= words
    assert {word for relation in RELATIONS for word in relation.split()} <= words


def test_a_caption_says_everything() -> None:
    assert caption(two_things()) == "a small red circle above a large blue star on a yellow background"


def test_things_do_not_touch_each_other_or_the_edge() -> None:
    rng = np.random.default_rng(3)
    scenes = [random_scene(rng) for _ in range(200)]
    assert all(len(read(render(scene)).things) == len(scene.things) for scene in scenes)
