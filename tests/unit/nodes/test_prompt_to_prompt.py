"""Prompt-to-prompt with the demo model: the words change, the layout stays, and what makes no sense is told."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.diffusion.sampling import Steps, drive, sample
from engine.foundation.bounds import BoundsError
from engine.models.text.alignment import AlignmentError
from engine.tensors.values import Image, Latent
from nodes.prompt_to_prompt import Edited, blend, paired, refine, replace_words, reweight, weigh
from training.base import Base, load_base
from training.checker import read

DEMO = Path(__file__).parents[3] / "models" / "checkpoints" / "easel-demo.safetensors"
EMPTY = Latent(torch.zeros(1, 4, 8, 8), empty=True)
SOURCE = "a red circle on a white background"


@cache
def base() -> Base:
    return load_base(DEMO)


def given() -> dict[str, Any]:
    return {"model": base().model, "clip": base().encoder, "latent": EMPTY}


def painted(edited: Edited, seed: int = 0) -> Image:
    empty, plan = base().encoder.encode(""), Steps(10, "dpmpp_2m", "karras")
    run = sample(edited.model, edited.positive, empty, edited.latent, seed=seed, cfg=4.0, steps=plan)
    return base().vae.decode(drive(run).samples)


def test_a_colour_changes_where_the_source_has_it() -> None:
    target = "a green circle on a white background"

    def with_share(share: float) -> Image:
        return painted(replace_words(**given(), source=SOURCE, target=target, cross_share=share, self_share=share))

    followed, alone = with_share(0.8), with_share(0.0)
    (source,), (edited,), (other,) = (read(picture.numpy()).things for picture in (*followed, alone[1]))
    assert (source.colour, edited.colour, other.colour) == ("red", "green", "green")
    assert np.hypot(edited.x - source.x, edited.y - source.y) <= 4
    assert np.hypot(other.x - source.x, other.y - source.y) > 20


def test_a_refined_prompt_adds_and_keeps() -> None:
    pictures = painted(refine(**given(), source=SOURCE, target="a red circle on a purple background"), 3)
    source, edited = (read(picture.numpy()) for picture in pictures)
    assert (source.background, edited.background) == ("white", "purple")
    assert np.hypot(edited.things[0].x - source.things[0].x, edited.things[0].y - source.things[0].y) <= 4


def test_the_same_prompt_or_no_share_changes_nothing_bit_for_bit() -> None:
    target = "a green circle on a white background"
    for edited in (
        replace_words(**given(), source=SOURCE, target=SOURCE),
        refine(**given(), source=SOURCE, target=SOURCE),
        reweight(**given(), source=SOURCE, weights="red: 1"),
        replace_words(**given(), source=SOURCE, target=target, cross_share=0.0, self_share=0.0),
    ):
        assert torch.equal(painted(edited), painted(edited._replace(model=base().model)))


def test_weights_change_the_edited_picture_alone() -> None:
    plain = replace_words(**given(), source=SOURCE, target=SOURCE)
    weighted = plain._replace(model=weigh(plain.model, base().encoder, SOURCE, "circle: 4, red: 4"))
    pictures = painted(weighted), painted(plain)
    assert torch.allclose(pictures[0][0], pictures[1][0], atol=1e-4)
    assert (pictures[0][1] - pictures[1][1]).abs().max() > 0.01


def test_each_picture_of_a_batch_is_paired_with_its_noise_and_mask() -> None:
    latent = Latent(torch.arange(2.0)[:, None, None, None].repeat(1, 4, 8, 8), torch.rand(2, 8, 8), batch_index=(5, 7))
    found = paired(latent)
    assert found.batch_index == (5, 5, 7, 7)
    assert found.samples[:, 0, 0, 0].tolist() == [0, 0, 1, 1]
    assert found.noise_mask is not None
    assert torch.equal(found.noise_mask[1], latent.noise_mask[0])  # type: ignore[index]
    assert paired(Latent(torch.zeros(2, 4, 8, 8))).batch_index == (0, 0, 1, 1)


def test_prompts_of_other_lengths_are_filled_up() -> None:
    edited = refine(**given(), source="red", target="red " * 76)
    assert edited.positive.prompts[0].tokens.shape == (2, 154, 128)
    empty = base().encoder.encode("").prompts[0].tokens
    assert torch.equal(edited.positive.prompts[0].tokens[0, 77:], empty[0])


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (lambda: replace_words(**given(), source=SOURCE, target="a circle"), "expected 7 words.*got 2"),
        (lambda: reweight(**given(), source=SOURCE, weights="square: 2"), "input weights.*got square"),
        (
            lambda: reweight(**given(), source=SOURCE, weights="red"),
            "input weights.*expected word: -100 to 100, got red",
        ),
        (lambda: reweight(**given(), source=SOURCE, weights="red: nan"), "input weights"),
        (lambda: blend(base().model, base().encoder, SOURCE, SOURCE, "red", "cube"), "input target_words.*got cube"),
        (lambda: blend(base().model, base().encoder, SOURCE, SOURCE, "", "red"), "input source_words.*got none"),
    ],
)
def test_words_that_are_not_there_are_told(start: Any, message: str) -> None:
    with pytest.raises(AlignmentError, match=message):
        start()


def test_shares_beyond_one_are_told() -> None:
    with pytest.raises(BoundsError, match=r"input cross_share.*expected 0 to 1, got 2"):
        replace_words(**given(), source=SOURCE, target=SOURCE, cross_share=2.0)
