"""Names of classes stand for their numbers."""

from __future__ import annotations

import pytest

from engine.models.labels import LabelError, class_number, imagenet_names, ordered


@pytest.mark.parametrize(
    ("label", "number"),
    [("golden retriever", 207), ("Tinca tinca", 0), ("TABBY CAT", 281), ("ear, spike, capitulum", 998), (" 88 ", 88)],
)
def test_a_class_is_known_by_any_of_its_names_and_by_its_number(label: str, number: int) -> None:
    assert class_number(label, imagenet_names()) == number


def test_there_are_a_thousand_classes_with_names() -> None:
    assert len(imagenet_names()) == 1000
    assert all(imagenet_names())


def test_none_is_no_class() -> None:
    assert class_number("None", imagenet_names()) is None


def test_an_unknown_name_is_answered_with_names_that_are_like_it() -> None:
    with pytest.raises(LabelError, match="golden retriever"):
        class_number("golden retreiver", imagenet_names())


def test_a_folder_s_own_names_count_by_their_numbers() -> None:
    assert ordered({"2": "kite", "0": "ship, vessel"}) == ("ship, vessel", "", "kite")
    assert class_number("vessel", ordered({"2": "kite", "0": "ship, vessel"})) == 0
