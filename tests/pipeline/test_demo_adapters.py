"""The demo's adapters do what they are for: a few held-out prompts each; `make test-slow` draws more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.app.cli import main
from tests.pipeline.test_workflows import run, small
from training import adapters
from training.checker import read
from training.evaluate import shares
from training.scenes import NOVEL, OUTLINED, SHAPES

MODELS = Path(__file__).parents[2] / "models"
DEMO = MODELS / "checkpoints" / "easel-demo.safetensors"
LORA = MODELS / "loras" / "easel-demo-outlines.safetensors"
WORD = MODELS / "embeddings" / "easel-demo-shield.safetensors"
EDGES = MODELS / "controlnet" / "easel-demo-edges.safetensors"
LIMIT = 4_000_000  # bytes


@pytest.mark.parametrize("path", [LORA, WORD, EDGES], ids=lambda path: path.stem)
def test_an_adapter_is_small_enough_to_ship(path: Path) -> None:
    assert path.stat().st_size <= LIMIT


def test_the_lora_outlines_what_the_prompt_says() -> None:
    assert shares(adapters.draw_lora(DEMO, LORA, 12))["right"] >= 0.75


def test_the_word_draws_the_new_shape_in_most_prompts() -> None:
    drawn = shares(adapters.draw_inversion(DEMO, WORD, 12))
    assert drawn["shape"] >= 0.5  # 76 of 100 were counted; the aim, 85, is missed, see training/README.md
    assert drawn["colour"] >= 0.9


def test_the_control_net_places_things_by_their_edges() -> None:
    assert shares(adapters.draw_control(DEMO, EDGES, 12))["place"] >= 0.9


@pytest.mark.slow
def test_the_lora_outlines_nine_of_ten_prompts() -> None:
    assert shares(adapters.draw_lora(DEMO, LORA, 100))["right"] >= 0.9


@pytest.mark.slow
def test_the_word_draws_the_new_shape_in_two_of_three_prompts() -> None:
    assert shares(adapters.draw_inversion(DEMO, WORD, 100))["shape"] >= 2 / 3


@pytest.mark.slow
def test_the_control_net_places_nine_of_ten_things_by_their_edges() -> None:
    drawn = shares(adapters.draw_control(DEMO, EDGES, 100))
    assert drawn["place"] >= 0.9
    assert drawn["right"] >= 0.85


def test_the_workflow_with_the_lora_shows_its_prompt_in_outlines(tmp_path: Path) -> None:
    (path,) = run("demo_lora", tmp_path)
    seen = read(small(path), (*SHAPES, *OUTLINED))
    upper, lower = sorted(seen.things, key=lambda thing: thing.y)
    assert (seen.background, upper.colour, upper.shape) == ("yellow", "red", "outlined circle")
    assert (lower.colour, lower.shape) == ("blue", "outlined star")


def test_a_lora_of_strength_nought_changes_no_pixel(tmp_path: Path) -> None:
    (without,) = run("text_to_image", tmp_path / "without")
    (nought,) = run("demo_lora", tmp_path / "nought", "--set", "12.strength_model=0")
    (full,) = run("demo_lora", tmp_path / "full")
    assert np.array_equal(small(without), small(nought))
    assert not np.array_equal(small(without), small(full))


def test_the_workflow_with_the_new_word_shows_the_new_shape(tmp_path: Path) -> None:
    (path,) = run("demo_textual_inversion", tmp_path)
    seen = read(small(path), (*SHAPES, *NOVEL))
    upper, lower = sorted(seen.things, key=lambda thing: thing.y)
    assert (seen.background, upper.colour, upper.shape) == ("white", "red", "shield")
    assert (lower.colour, lower.shape) == ("blue", "star")


def test_without_its_file_the_new_word_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = str(MODELS.parent / "workflows" / "demo_textual_inversion.json")
    word = "6.text=a red embedding:easel-demo-cube"
    assert main(["run", workflow, "--output", str(tmp_path), "--quiet", "--set", word]) != 0
    assert "easel-demo-cube" in capsys.readouterr().err


def test_the_workflow_with_the_control_net_paints_the_drawing_where_it_is(tmp_path: Path) -> None:
    (path,) = run("demo_controlnet", tmp_path)
    seen = read(small(path))
    (thing,) = seen.things
    assert (seen.background, thing.colour, thing.shape) == ("white", "green", "heart")
    assert abs(thing.x - 22) <= 4
    assert abs(thing.y - 40) <= 4


def test_a_control_net_of_strength_nought_changes_no_pixel(tmp_path: Path) -> None:
    prompt = "6.text=a large green heart on a white background"
    (without,) = run("text_to_image", tmp_path / "without", "--set", prompt)
    (nought,) = run("demo_controlnet", tmp_path / "nought", "--set", "15.strength=0")
    assert np.array_equal(small(without), small(nought))
