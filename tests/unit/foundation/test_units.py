"""Amounts of bytes."""

from __future__ import annotations

import pytest

from engine.foundation.units import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"), [("4G", 4 * 2**30), ("512M", 512 * 2**20), ("1.5 GiB", 3 * 2**29), ("7", 7), ("2kb", 2048)]
)
def test_amounts_are_read(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "G", "-1", "4X", "1e3", "nan"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected an amount"):
        parse_bytes(text)


def test_amounts_are_written_with_a_fitting_unit() -> None:
    assert [format_bytes(n) for n in (0, 1023, 1536, 5 * 2**30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
