"""A1111's dialect: weights, breaks, chunks, editing over steps, AND. The tables follow its published rules."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.schedules import normal, sgm_uniform, simple
from engine.models.checkpoint import Checkpoint
from engine.models.text.a1111 import PromptError, encode_a1111, mean_restored, share_after
from engine.models.text.editing import Part, Span, parts, spans
from engine.models.text.embeddings import EmbeddingError
from engine.models.text.emphasis import BREAK, Break, chunks, parse
from engine.models.text.encoder import TextEncoder
from engine.models.text.prompt import Segment, Weighted
from nodes.conditioning import encode_a1111_text

LEVELS = scaled_linear()
SYNTAX = st.text("()[]:|\\ .1aBREAKND\n", max_size=60)


def runs(text: str) -> list[tuple[str, float] | str]:
    return ["BREAK" if isinstance(run, Break) else (run.text, pytest.approx(run.weight)) for run in parse(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        ("a [less] b", [("a ", 1.0), ("less", 1 / 1.1), (" b", 1.0)]),
        ("(a:1.5)", [("a", 1.5)]),
        ("((a:1.5))", [("a", 1.5 * 1.1)]),
        ("(a (b:2) c:0.5)", [("a ", 0.5), ("b", 1.0), (" c", 0.5)]),
        ("(a: +1.5 )", [("a", 1.5)]),
        ("(a:-1)", [("a", -1.0)]),
        ("([a])", [("a", 1.0)]),
        ("a:1.5)", [("a:1.5)", 1.0)]),
        ("[a:1.5]", [("a:1.5", 1 / 1.1)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1.0), (" c", 1 / 1.1)]),
        (r"a\b C:\\d", [("a\\b C:\\d", 1.0)]),
        ("__color__ <lora:x:1> {a|b}", [("__color__ <lora:x:1> {a|b}", 1.0)]),
        ("a BREAK b", [("a", 1.0), "BREAK", ("b", 1.0)]),
        ("(a BREAK\nb:2)", [("a", 2.0), "BREAK", ("b", 2.0)]),
        ("BREAKFAST aBREAK", [("BREAKFAST aBREAK", 1.0)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky).",
            [
                *[("a ", 1.0), ("house", 1.3 * 1.21), (" ", 1.1), ("on", 1.0), (" a ", 1.1), ("hill", 0.55)],
                *[(", sun, ", 1.1), ("sky", 1.1**4), (".", 1.1**3)],
            ],
        ),
    ],
)
def test_brackets_multiply(text: str, expected: list[tuple[str, float] | str]) -> None:
    got = runs(text)
    assert "".join(run[0] for run in got) == "".join(run[0] for run in expected)
    assert _by_letter(got) == _by_letter(expected)


def _by_letter(found: list[tuple[str, float] | str]) -> list[tuple[str, object]]:
    """Neighbours whose weights differ by rounding only may be one run or two."""
    return [(letter, run[1] if isinstance(run, tuple) else 0) for run in found for letter in run[0]]


@given(SYNTAX)
def test_no_text_makes_a_parser_fail_and_weights_are_finite(text: str) -> None:
    assert all(isinstance(run, Break) or abs(run.weight) <= 1e6 for run in parse(text))
    assert all(part.text is not None for part in parts(text))
    assert spans(text, 7)[-1].end == 7


@given(st.text(max_size=40))
def test_texts_without_brackets_are_left_alone(text: str) -> None:
    for mark in "()[]\\:|":
        text = text.replace(mark, "")
    text = text.replace("BREAK", "").replace("AND", "")
    assert parse(text) == ([Segment(text, 1.0)] if text else [])
    assert spans(text, 4) == [Span(text, 0, 4)]


@given(st.lists(st.tuples(st.text("abc ,.-", min_size=1, max_size=8), st.floats(-10, 10)), max_size=6))
def test_written_weights_are_read_back(given_parts: list[tuple[str, float]]) -> None:
    text = "".join(f"({part}:{weight:.3f})" for part, weight in given_parts)
    expected = [(letter, round(weight, 3)) for part, weight in given_parts for letter in part]
    found = [(letter, run.weight) for run in parse(text) if isinstance(run, Segment) for letter in run.text]
    assert found == [(letter, pytest.approx(weight)) for letter, weight in expected]


@given(st.text(max_size=30))
def test_escaped_text_is_read_back(text: str) -> None:
    text = text.replace("BREAK", "").replace(":", "")
    escaped = "".join("\\" + letter if letter in "()[]\\" else letter for letter in text)
    assert parse(escaped) == ([Segment(text, 1.0)] if text else [])


@pytest.mark.parametrize(
    "text", ["(" * 5000 + "a" + ")" * 5000, "(a" * 3000 + "b)" * 3000, "[a:" * 2000 + ":3]" * 2000, "([" * 3000]
)
def test_thousands_of_brackets_are_read_in_time(text: str) -> None:
    start = time.perf_counter()
    parse(text)
    spans(text, 20)
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [unbalanced", [(10, "a [unbalanced")]),
        ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        ("a [b::0.3]", [(3, "a b"), (10, "a ")]),
        ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
        ("[a|(b:1.1)]", [(n, "a" if n % 2 else "(b:1.1)") for n in range(1, 11)]),
        ("[fe|]male", [(n, "female" if n % 2 else "male") for n in range(1, 11)]),
        ("[fe|||]male", [(1, "female"), (4, "male"), (5, "female"), (8, "male"), (9, "female"), (10, "male")]),
        ("[a:b:0]", [(10, "b")]),
        ("[a:b:-1]", [(10, "b")]),
        ("[a:b:99]", [(10, "a")]),
        ("[a:b:1.5]", [(10, "a")]),
        ("[a:b:1.0]", [(10, "a")]),
        ("[a:b:1e99]", [(10, "a")]),
        ("[a]", [(10, "[a]")]),
        ("[a:b]", [(10, "[a:b]")]),
        ("[a:b:c:3]", [(10, "[a:b:c:3]")]),
        (r"\[a:b:3\]", [(10, r"\[a:b:3\]")]),
        (r"[a\:b:3]", [(3, ""), (10, r"a\:b")]),
        ("(x [a:b:3]:1.2)", [(3, "(x a:1.2)"), (10, "(x b:1.2)")]),
        ("[(a:1.2):b:3]", [(3, "(a:1.2)"), (10, "b")]),
        ("__wild__ [a:3]", [(3, "__wild__ "), (10, "__wild__ a")]),
    ],
)
def test_what_a_prompt_reads_over_ten_steps(text: str, expected: list[tuple[int, str]]) -> None:
    assert [(span.end, span.text) for span in spans(text, 10)] == expected


@given(SYNTAX, st.integers(1, 30))
def test_readings_cover_every_step_once(text: str, steps: int) -> None:
    found = spans(text, steps)
    assert [span.start for span in found] == [0, *(span.end for span in found[:-1])]
    assert all(span.start < span.end for span in found)
    assert all(a.text != b.text for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a cat AND a dog", [("a cat", 1.0), (" a dog", 1.0)]),
        ("a cat :1.2 AND a dog: 0.5 ", [("a cat", 1.2), (" a dog", 0.5)]),
        ("a AND b:-0.3 AND c:.5", [("a", 1.0), (" b", -0.3), (" c", 0.5)]),
        ("SAND AND AND", [("SAND", 1.0), ("", 1.0), ("", 1.0)]),
        ("(a:1.2)", [("(a:1.2)", 1.0)]),
        ("a:b", [("a:b", 1.0)]),
    ],
)
def test_and_divides_prompts_and_reads_their_weights(text: str, expected: list[tuple[str, float]]) -> None:
    assert [Part(part.text.rstrip(), part.weight) for part in parts(text)] == [Part(*part) for part in expected]


def letters(text: str) -> list[list[Weighted[str]] | Break]:
    return [BREAK if letter == "/" else [Weighted(letter, 1.0)] for letter in text]


@pytest.mark.parametrize(
    ("text", "laid"),
    [
        ("", [""]),
        ("a" * 75, ["a" * 75]),
        ("a" * 76, ["a" * 75, "a"]),
        ("ab/c", ["ab", "c"]),
        ("/a", ["", "a"]),
        ("a/", ["a"]),
        ("a//b", ["a", "", "b"]),
        ("a" * 75 + "/b", ["a" * 75, "b"]),
        ("a" * 55 + "," + "b" * 20, ["a" * 55 + ",", "b" * 20]),
        ("a" * 54 + "," + "b" * 21, ["a" * 54 + "," + "b" * 20, "b"]),
        ("a" * 75 + ",b", ["a" * 75, ",b"]),
        ("," + "/" + "a" * 76, [",", "a" * 75, "a"]),
    ],
)
def test_full_chunks_end_at_a_near_comma_and_breaks_begin_new_ones(text: str, laid: list[str]) -> None:
    found = chunks(letters(text), lambda letter: letter == ",")
    assert ["".join(token.token for token in chunk) for chunk in found] == laid


@given(st.text("a,/", max_size=400))
def test_chunks_hold_every_token_in_order(text: str) -> None:
    found = chunks(letters(text), lambda letter: letter == ",")
    assert "".join(token.token for chunk in found for token in chunk) == text.replace("/", "")
    assert all(len(chunk) <= 75 for chunk in found)


def test_vectors_of_one_embedding_stay_together_unless_there_are_too_many() -> None:
    group = [Weighted("v", 1.0)] * 10
    assert [len(chunk) for chunk in chunks([*letters("a" * 70), group], lambda _: False)] == [70, 10]
    assert [len(chunk) for chunk in chunks([group * 20], lambda _: False)] == [75, 75, 50]


@pytest.fixture(scope="module")
def encoder(checkpoint: Checkpoint) -> TextEncoder:
    assert checkpoint.text_encoder is not None
    return checkpoint.text_encoder


def test_without_syntax_both_dialects_agree(encoder: TextEncoder) -> None:
    (own,) = encode_a1111(encoder, "a painting of a cat", 20).prompts
    (other,) = encoder.encode("a painting of a cat").prompts
    assert torch.allclose(own.tokens, other.tokens, atol=1e-6)
    assert torch.equal(own.pooled, other.pooled)  # type: ignore[arg-type]
    assert (own.strength, own.start, own.end) == (1.0, 0.0, 1.0)


def test_weights_multiply_states_and_the_mean_is_restored(encoder: TextEncoder) -> None:
    (plain,) = encode_a1111(encoder, "a cat", 20).prompts
    (weighted,) = encode_a1111(encoder, "a (cat:1.5)", 20).prompts
    assert torch.allclose(weighted.tokens.mean(), plain.tokens.mean(), atol=1e-6)
    ratio = weighted.tokens / plain.tokens
    assert torch.allclose(ratio[0, 2] / ratio[0, 1], torch.full_like(ratio[0, 2], 1.5), rtol=1e-4)


def test_each_chunk_keeps_its_own_mean_and_none_is_divided_by_zero() -> None:
    states = torch.tensor([1.0, 3.0, 2.0, 2.0]).view(2, 2, 1)
    weights = torch.tensor([2.0, 1.0, 1.0, -1.0]).view(2, 2, 1)
    assert mean_restored(states, weights).flatten().tolist() == pytest.approx([1.6, 2.4, 2.0, -2.0])


def test_a_break_makes_a_chunk_of_77_states(encoder: TextEncoder) -> None:
    (prompt,) = encode_a1111(encoder, "a cat BREAK a dog", 20).prompts
    apart = [encode_a1111(encoder, text, 20).prompts[0].tokens for text in ("a cat", "a dog")]
    assert torch.allclose(prompt.tokens, torch.cat(apart, dim=1), atol=1e-5)


def test_an_edit_becomes_two_prompts_in_turn(encoder: TextEncoder) -> None:
    first, second = encode_a1111_text("a [cat:dog:0.5]", encoder, 10).prompts
    assert (first.start, first.end, second.start, second.end) == (0.0, share_after(5, 10), share_after(5, 10), 1.0)
    assert torch.equal(first.tokens, encode_a1111(encoder, "a cat", 10).prompts[0].tokens)
    assert torch.equal(second.tokens, encode_a1111(encoder, "a dog", 10).prompts[0].tokens)


@pytest.mark.parametrize("steps", [2, 3, 10, 20, 50])
@pytest.mark.parametrize("schedule", [normal, sgm_uniform, simple])
def test_edits_take_place_at_the_very_step(schedule: object, steps: int) -> None:
    sigmas = schedule(LEVELS, steps)[:-1]  # type: ignore[operator]
    for when in range(1, steps):
        bound = LEVELS.sigma_at(share_after(when, steps))
        assert sum(sigma > bound for sigma in sigmas) == when


def test_parts_joined_by_and_carry_their_weights(encoder: TextEncoder) -> None:
    prompts = encode_a1111(encoder, "a cat :0.8 AND [a|b]:-0.2 AND nothing:0", 3).prompts
    assert [prompt.strength for prompt in prompts] == [0.8, -0.2, -0.2, -0.2]
    assert [prompt.end for prompt in prompts] == [1.0, share_after(1, 3), share_after(2, 3), 1.0]


@pytest.mark.parametrize("text", ["a AND b:-1", "a:0"])
def test_weights_that_cancel_out_are_refused(encoder: TextEncoder, text: str) -> None:
    with pytest.raises(PromptError, match="input text: the weights of the prompts joined by AND add up to nothing"):
        encode_a1111(encoder, text, 20)


def test_an_embedding_that_is_not_there_is_named(encoder: TextEncoder) -> None:
    with pytest.raises(EmbeddingError, match="embedding:nowhere"):
        encode_a1111(encoder, "a embedding:nowhere, b", 20)
