"""Words to tokens, and the tokens of one prompt to those of another."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.models.checkpoint import load_checkpoint
from engine.models.text.alignment import AlignmentError, common, layout, places_of, refined, replaced
from engine.models.text.encoder import TextEncoder

DEMO = Path(__file__).parents[3] / "models" / "checkpoints" / "easel-demo.safetensors"


@pytest.fixture(scope="module")
def clip() -> TextEncoder:
    encoder = load_checkpoint(DEMO, torch.device("cpu"), lambda name: (torch.ones(3, 128),)).text_encoder
    assert encoder is not None
    return encoder


def test_words_stand_where_the_encoder_puts_them(clip: TextEncoder) -> None:
    found = layout(clip, "a (flooble:1.3) embedding:thing ball")
    assert [(word.text, word.places) for word in found.words] == [
        ("a", (1,)),
        ("flooble", (2, 3)),
        ("embedding:thing", (4, 5, 6)),
        ("ball", (7,)),
    ]
    assert found.rest == (0, *range(8, 77))


def test_words_of_a_second_chunk_stand_behind_its_start(clip: TextEncoder) -> None:
    found = layout(clip, "red " * 76)
    assert found.length == 154
    assert found.words[74].places == (75,)
    assert found.words[75].places == (78,)


def test_replacing_nothing_keeps_every_place(clip: TextEncoder) -> None:
    same = layout(clip, "a red ball on a table")
    for found in (replaced(same, same), refined(same, same)):
        assert torch.equal(found.shared, torch.eye(77))
        assert not found.own.any()


def test_a_word_of_more_tokens_shares_the_attention_of_the_old_one(clip: TextEncoder) -> None:
    found = replaced(layout(clip, "a red ball"), layout(clip, "a flooble ball"))
    assert found.shared[2].nonzero().flatten().tolist() == [2, 3]
    assert found.shared[2, 2] == 0.5
    assert found.shared[3, 4] == 1  # the ball moved on
    assert torch.allclose(found.shared.sum(dim=1), torch.ones(77))


def test_replacing_takes_as_many_words(clip: TextEncoder) -> None:
    with pytest.raises(AlignmentError, match=r"source and target.*expected 3 words.*got 4.*PromptToPromptRefine"):
        replaced(layout(clip, "a red ball"), layout(clip, "a big red ball"))


def test_refining_keeps_common_words_and_gives_new_ones_their_own_attention(clip: TextEncoder) -> None:
    found = refined(layout(clip, "a red ball"), layout(clip, "a big red Ball"))
    assert found.own.nonzero().flatten().tolist() == [2]
    assert [int(found.shared[place].argmax()) for place in (0, 1, 2, 3, 4)] == [0, 1, 3, 4, 5]
    assert not found.shared[:, 2].any()


def test_refining_with_another_number_of_chunks_fills_up_the_shorter(clip: TextEncoder) -> None:
    found = refined(layout(clip, "red"), layout(clip, "red " * 76))
    assert found.shared.shape == (154, 154)
    assert int(found.own.sum()) == 75


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ("abcd", "abcd", "00 11 22 33"),
        ("abcd", "xbyd", "11 33"),
        ("ab", "ba", "10"),
        ("", "ab", ""),
        ("aab", "ab", "00 21"),
    ],
)
def test_the_longest_common_row(first: str, second: str, pairs: str) -> None:
    found = common(first, second)
    assert len(found) == len(pairs.split())
    assert all(first[i] == second[j] for i, j in found)
    assert found == sorted(found)


def test_a_word_is_found_whatever_its_case_and_signs(clip: TextEncoder) -> None:
    words = layout(clip, "a Red, ball (red)")
    assert places_of(words, "red", "input weights") == [2, 3, 5]


def test_an_unknown_word_is_told_with_those_that_there_are(clip: TextEncoder) -> None:
    with pytest.raises(AlignmentError, match=r"input weights.*expected one of a, red, ball.*got cube"):
        places_of(layout(clip, "a red ball"), "cube", "input weights")
