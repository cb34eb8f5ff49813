"""What the demo model draws with the examples shows their prompts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from engine.app.cli import main
from training.checker import read

ROOT = Path(__file__).parents[2]


def run(name: str, output: Path, *options: str) -> list[Path]:
    status = main(["run", str(ROOT / "workflows" / f"{name}.json"), "--output", str(output), "--quiet", *options])
    assert status == 0
    return sorted(output.rglob("*.png"))


def small(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A saved picture at the model's own size, 0..1."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((64, 64), Image.Resampling.BOX), dtype=np.float32) / 255


def test_the_first_example_shows_its_prompt(tmp_path: Path) -> None:
    (path,) = run("text_to_image", tmp_path)
    seen = read(small(path))
    assert seen.background == "yellow"
    upper, lower = sorted(seen.things, key=lambda thing: thing.y)
    assert (upper.size, upper.colour, upper.shape) == ("small", "red", "circle")
    assert (lower.colour, lower.shape) == ("blue", "star")


def test_another_prompt_is_followed(tmp_path: Path) -> None:
    (path,) = run("text_to_image", tmp_path, "--set", "6.text=a large green square on a black background")
    seen = read(small(path))
    (thing,) = seen.things
    assert (seen.background, thing.size, thing.colour, thing.shape) == ("black", "large", "green", "square")


def test_inpainting_keeps_the_upper_half_and_paints_the_lower(tmp_path: Path) -> None:
    (path,) = run("inpaint", tmp_path)
    upper, lower = sorted(read(small(path)).things, key=lambda thing: thing.y)
    assert (upper.colour, upper.shape) == ("blue", "circle")
    assert (lower.colour, lower.shape) == ("white", "heart")


def test_each_region_shows_its_own_prompt(tmp_path: Path) -> None:
    (path,) = run("regions", tmp_path)
    with Image.open(path) as picture:
        halves = [picture.crop((x, 0, x + 256, 256)).resize((64, 64), Image.Resampling.BOX) for x in (0, 256)]
    seen = [read(np.asarray(half.convert("RGB"), dtype=np.float32) / 255) for half in halves]
    assert [[(thing.colour, thing.shape) for thing in reading.things] for reading in seen] == [
        [("red", "heart")],
        [("blue", "star")],
    ]


def test_a_prompt_that_changes_on_the_way_shows_what_it_ends_with(tmp_path: Path) -> None:
    (path,) = run("prompt_dialect", tmp_path)
    (thing,) = read(small(path)).things
    assert (thing.colour, thing.shape) == ("green", "star")


def test_both_ways_to_guide_show_the_prompt(tmp_path: Path) -> None:
    for path in run("guidance", tmp_path):
        seen = read(small(path))
        (thing,) = seen.things
        assert (seen.background, thing.colour, thing.shape) == ("purple", "green", "star")


def test_another_prompt_changes_a_picture(tmp_path: Path) -> None:
    (path,) = run("image_to_image", tmp_path)
    seen = read(small(path))
    upper, lower = sorted(seen.things, key=lambda thing: thing.y)
    assert seen.background == "white"
    assert (upper.colour, upper.shape, lower.colour, lower.shape) == ("red", "circle", "blue", "square")


def test_each_mask_shows_its_own_prompt(tmp_path: Path) -> None:
    (path,) = run("masked_prompts", tmp_path)
    left, right = sorted(read(small(path)).things, key=lambda thing: thing.x)
    assert (left.colour, left.shape, right.colour, right.shape) == ("red", "heart", "blue", "star")


def test_instances_of_a_subgraph_have_values_of_their_own(tmp_path: Path) -> None:
    (path,) = run("subgraphs", tmp_path)
    with Image.open(path) as picture:
        halves = [picture.crop((x, 0, x + 512, 512)).resize((64, 64), Image.Resampling.BOX) for x in (0, 520)]
    seen = [read(np.asarray(half.convert("RGB"), dtype=np.float32) / 255) for half in halves]
    assert [(one.background, one.things[0].colour, one.things[0].shape) for one in seen] == [
        ("white", "red", "heart"),
        ("black", "blue", "star"),
    ]


def test_a_prompt_that_nodes_built_is_followed(tmp_path: Path) -> None:
    (path,) = run("prompt_building", tmp_path)
    (thing,) = read(small(path)).things
    assert (thing.colour, thing.shape) == ("purple", "circle")


def test_a_saved_picture_runs_again_to_the_same_pixels(tmp_path: Path) -> None:
    (first,) = run("text_to_image", tmp_path / "a")
    assert main(["run", str(first), "--output", str(tmp_path / "b"), "--quiet"]) == 0
    (second,) = (tmp_path / "b").glob("*.png")
    with Image.open(first) as one, Image.open(second) as two:
        assert one.tobytes() == two.tobytes()
        assert set(one.info) >= {"prompt", "workflow"}
        assert json.loads(one.info["prompt"]) == json.loads(two.info["prompt"])


def test_repeating_counts_the_seed_up(tmp_path: Path) -> None:
    paths = run("text_to_image", tmp_path, "--repeat", "2", "--set", "3.steps=2")
    with Image.open(paths[0]) as one, Image.open(paths[1]) as two:
        seeds = [json.loads(picture.info["prompt"])["3"]["inputs"]["seed"] for picture in (one, two)]
        assert one.tobytes() != two.tobytes()
    assert seeds[1] == seeds[0] + 1
