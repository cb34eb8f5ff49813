"""Uploads: whole, under a name nobody else has, inside their folder."""

from __future__ import annotations

import errno
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.store import uploads
from engine.store.artifacts import DiskFullError, StoreError
from engine.store.confine import PathError
from engine.store.pictures import encode_png
from engine.store.png_metadata import PictureError, read_text_chunks
from engine.store.uploads import NameTakenError, Stored, masked, store_upload
from tests.unit.server.serving import TRAVERSALS, png

TEXTS = {"prompt": "{}", "ä": "图"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "input").mkdir()
    return tmp_path / "input"


def put(root: Path, data: bytes, name: str = "x.png", subfolder: str = "", *, overwrite: bool = False) -> Stored:
    return store_upload(io.BytesIO(data), root, subfolder, name, overwrite=overwrite)


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_bytes_reuse_their_name_and_others_get_a_number(root: Path) -> None:
    assert [put(root, data).name for data in (b"a", b"b", b"a", b"b", b"c")] == [
        "x.png", "x (1).png", "x.png", "x (1).png", "x (2).png",
    ]  # fmt: skip
    assert files(root) == {"x.png": b"a", "x (1).png": b"b", "x (2).png": b"c"}


def test_overwriting_replaces_the_file_at_one_stroke(root: Path) -> None:
    put(root, b"a")
    assert put(root, b"b", overwrite=True) == Stored("x.png", "")
    assert files(root) == {"x.png": b"b"}


def test_folders_are_made_and_told(root: Path) -> None:
    assert put(root, b"a", "y.png", "one/two/") == Stored("y.png", "one/two")
    assert put(root, b"a", "three/y.png", "one") == Stored("y.png", "one/three")
    assert set(files(root)) == {"one/two/y.png", "one/three/y.png"}


@pytest.mark.parametrize("payload", TRAVERSALS)
@pytest.mark.parametrize("place", ["name", "subfolder", "both"])
def test_no_name_leads_out_of_the_folder(root: Path, payload: str, place: str) -> None:
    name, subfolder = (payload if place != "subfolder" else "x.png"), (payload if place != "name" else "")
    with pytest.raises(PathError):
        put(root, b"evil", name, subfolder, overwrite=True)
    assert files(root.parent) == {"secret.txt": b"secret"}


def test_links_that_lead_out_or_round_in_a_circle_are_refused(root: Path) -> None:
    (root / "out").symlink_to(root.parent)
    (root / "x.png").symlink_to(root.parent / "secret.txt")
    (root / "loop").symlink_to(root / "loop")
    for name, subfolder in (("new.txt", "out"), ("x.png", ""), ("y", "loop"), ("loop", "")):
        with pytest.raises(PathError):
            put(root, b"evil", name, subfolder, overwrite=True)
    assert (root.parent / "secret.txt").read_text() == "secret"
    assert not (root.parent / "new.txt").exists()


def test_a_numbered_name_that_is_a_link_out_is_refused_too(root: Path) -> None:
    put(root, b"a")
    (root / "x (1).png").symlink_to(root.parent / "secret.txt")
    with pytest.raises(PathError):
        put(root, b"secret")


@pytest.mark.parametrize("name", ["\udcff.png", "\ud800"])
def test_a_name_that_is_no_text_is_refused(root: Path, name: str) -> None:
    with pytest.raises(PathError) as caught:
        put(root, b"a", name)
    assert str(caught.value).isascii()


def test_a_folder_in_the_way_is_told_or_gone_around(root: Path) -> None:
    (root / "x.png").mkdir()
    assert put(root, b"a").name == "x (1).png"
    with pytest.raises(NameTakenError):
        put(root, b"a", overwrite=True)
    with pytest.raises(NameTakenError):
        put(root, b"a", "y", "x (1).png")


def test_racing_uploads_lose_nothing(root: Path) -> None:
    contents = [bytes([number % 20]) * 5000 for number in range(120)]
    with ThreadPoolExecutor(16) as pool:
        stored = list(pool.map(lambda data: put(root, data), contents))
    assert all((root / place.name).read_bytes() == data for place, data in zip(stored, contents, strict=True))
    assert sorted(files(root).values()) == sorted(set(contents))


def test_racing_overwriters_leave_one_whole_file(root: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: put(root, data, overwrite=True), contents))
    assert list(files(root)) == ["x.png"]
    assert (root / "x.png").read_bytes() in contents


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFullError), (errno.EIO, StoreError)])
def test_a_failing_disk_leaves_nothing_behind(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def fail(handle: int) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(uploads.os, "fsync", fail)
    with pytest.raises(error):
        put(root, b"a")
    assert files(root) == {}


def test_without_hard_links_names_are_still_claimed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    assert [put(root, data).name for data in (b"a", b"b", b"a")] == ["x.png", "x (1).png", "x.png"]
    assert files(root) == {"x.png": b"a", "x (1).png": b"b"}


def test_a_mask_is_put_on_its_picture_and_the_texts_stay(tmp_path: Path) -> None:
    original, mask, result = tmp_path / "o.png", tmp_path / "m.png", tmp_path / "r.png"
    original.write_bytes(encode_png(np.full((4, 6, 3), 9, np.uint8), TEXTS))
    mask.write_bytes(png(colour=(1, 2, 3, 77)))
    result.write_bytes(masked(mask, original))
    assert Image.open(result).getpixel((5, 3)) == (9, 9, 9, 77)
    assert read_text_chunks(result) == TEXTS


def test_a_mask_on_a_jpeg_gives_a_png_without_texts(tmp_path: Path) -> None:
    original, mask = tmp_path / "o.jpg", tmp_path / "m.png"
    Image.new("L", (6, 4), 80).save(original)
    mask.write_bytes(png(colour=(1, 2, 3, 77)))
    assert Image.open(io.BytesIO(masked(mask, original))).mode == "RGBA"


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    original, mask = tmp_path / "o.png", tmp_path / "m.png"
    original.write_bytes(png())
    mask.write_bytes(png(size=(6, 5)))
    with pytest.raises(PictureError, match="expected 6 x 4, got 6 x 5"):
        masked(mask, original)
