"""No name leads out of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.confine import PathError, annotation, resolve

HOSTILE = [
    *("", ".", "..", "/", "//", "/etc/passwd", "../x", "a/../../x", "a/..", "./x", "a//b", "a/./b", "~", "~root/x"),
    *("C:", "C:/x", "c:\\x", "..\\x", "a\\..\\..\\x", "\\\\host\\share", "\\x", "a\x00b", "a\nb", "\x7f", "x/", "a/ "),
    *("con", "NUL", "aux.txt", "COM1", "lpt9.log", "a/con", "x.", "x ", "a./b", "file:x", "a:stream", "x" * 2000),
    *("....//x", "..;/x", "%2e%2e/\x00", "a/../..", "../" * 50 + "etc/passwd", "a/" + "../" * 3 + "b"),
]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("....//x", "..;/x")])
def test_hostile_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PathError, match="not allowed"):
        resolve(tmp_path, name)


@given(st.text(alphabet="./\\ab:~ \x00%", max_size=20))
def test_whatever_is_accepted_lies_inside(name: str) -> None:
    root = Path("/nowhere/root")
    try:
        path = resolve(root, name)
    except PathError:
        return
    assert path.is_relative_to(root)
    assert path != root


def test_a_link_that_leads_out_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "root" / "file").write_text("y")
    (tmp_path / "root" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "root" / "in").symlink_to(tmp_path / "root" / "file")
    with pytest.raises(PathError):
        resolve(tmp_path / "root", "out")
    assert resolve(tmp_path / "root", "in").name == "file"


def test_plain_names_and_subfolders_are_fine(tmp_path: Path) -> None:
    assert resolve(tmp_path, "a b/ç.png") == tmp_path.resolve() / "a b" / "ç.png"


@pytest.mark.parametrize(
    ("name", "parts"),
    [("x.png [output]", ("x.png", "output")), ("x.png", ("x.png", None)), ("x [other]", ("x [other]", None))],
)
def test_annotations_name_the_folder(name: str, parts: tuple[str, str | None]) -> None:
    assert annotation(name) == parts


@pytest.mark.parametrize("name", ["\ud800.png", "a\udfff", "x" * 256, "é" * 128, "/".join(["y" * 250] * 9)])
def test_what_no_disk_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PathError):
        resolve(tmp_path, name)


def test_links_that_go_round_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for name in ("one", "one/x.png"):
        with pytest.raises(PathError):
            resolve(tmp_path, name)
    with pytest.raises(PathError):
        resolve(tmp_path / "one", "x.png")
