"""The user's files: confined, durable, listed as they can be asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.foundation import json
from engine.store.confine import PathError
from engine.store.uploads import NameTakenError
from engine.store.userdata import (
    SETTINGS_FILE,
    MissingFileError,
    change_settings,
    delete_file,
    find_file,
    list_entries,
    list_files,
    move_file,
    read_settings,
    write_file,
)
from tests.unit.server.serving import TRAVERSALS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path / "user" / "default"


def test_what_was_written_is_read_moved_and_deleted(root: Path) -> None:
    info = write_file(root, "workflows/a b.json", b"{}")
    assert (info.path, info.size, info.kind) == ("workflows/a b.json", 2, "file")
    assert find_file(root, "workflows/a b.json").read_bytes() == b"{}"
    assert move_file(root, "workflows/a b.json", "old/c.json").path == "old/c.json"
    delete_file(root, "old/c.json")
    for name in ("workflows/a b.json", "old/c.json", "old"):
        with pytest.raises(MissingFileError):
            find_file(root, name)


def test_a_taken_name_is_kept_unless_it_may_be_overwritten(root: Path) -> None:
    write_file(root, "a", b"1")
    write_file(root, "b", b"2")
    works = (
        lambda: write_file(root, "a", b"3", overwrite=False),
        lambda: move_file(root, "b", "a", overwrite=False),
        lambda: move_file(root, "a", "a", overwrite=False),
    )
    for work in works:
        with pytest.raises(NameTakenError):
            work()
    assert find_file(root, "a").read_bytes() == b"1"
    move_file(root, "b", "a")
    assert find_file(root, "a").read_bytes() == b"2"
    assert sorted(path.name for path in root.iterdir()) == ["a"]


@pytest.mark.parametrize("payload", TRAVERSALS)
def test_no_name_leads_out(root: Path, payload: str) -> None:
    write_file(root, "a", b"1")
    works = (
        lambda: find_file(root, payload),
        lambda: write_file(root, payload, b"evil"),
        lambda: write_file(root, payload, b"evil", overwrite=False),
        lambda: move_file(root, payload, "b"),
        lambda: move_file(root, "a", payload),
        lambda: delete_file(root, payload),
        lambda: list_files(root, payload),
        lambda: list_entries(root, payload),
    )
    for work in works:
        with pytest.raises(PathError):
            work()
    assert (root.parents[1] / "secret.txt").read_text() == "secret"
    assert [path.name for path in root.iterdir()] == ["a"]


def test_links_out_are_not_followed_and_not_listed(root: Path) -> None:
    write_file(root, "a", b"1")
    (root / "out").symlink_to(root.parents[1])
    (root / "link").symlink_to(root.parents[1] / "secret.txt")
    (root / "nowhere").symlink_to(root / "gone")
    assert [info.path for info in list_files(root, "", recurse=True)] == ["a"]
    assert [info.path for info in list_entries(root, "")] == ["a"]
    for name in ("out/secret.txt", "link"):
        with pytest.raises(PathError):
            find_file(root, name)


def test_listings_are_sorted_relative_and_without_hidden_files(root: Path) -> None:
    for name in ("w/b.json", "w/a.json", "w/deep/c.json", "w/.hidden", "w/.git/x", "top"):
        write_file(root, name, b"")
    assert [info.path for info in list_files(root, "w")] == ["a.json", "b.json"]
    assert [info.path for info in list_files(root, "w", recurse=True)] == ["a.json", "b.json", "deep/c.json"]
    assert [(info.path, info.kind) for info in list_entries(root, "w")] == [
        ("w/deep", "directory"), ("w/a.json", "file"), ("w/b.json", "file"),
    ]  # fmt: skip


def test_a_new_user_has_an_empty_folder_and_no_others(root: Path) -> None:
    assert list_files(root, "") == list_entries(root, "") == []
    assert read_settings(root) == {}
    with pytest.raises(MissingFileError):
        list_files(root, "workflows")
    assert not root.exists()


def test_racing_writers_without_overwriting_have_one_winner(root: Path) -> None:
    def write(number: int) -> bool:
        try:
            write_file(root, "w/a", bytes([number]) * 1000, overwrite=False)
        except NameTakenError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number, won in enumerate(pool.map(write, range(40))) if won]
    assert len(winners) == 1
    assert find_file(root, "w/a").read_bytes() == bytes(winners) * 1000
    assert [path.name for path in (root / "w").iterdir()] == ["a"]


def test_racing_moves_of_one_file_never_lose_it(root: Path) -> None:
    write_file(root, "a", b"1")

    def move(number: int) -> str | None:
        try:
            return move_file(root, "a", f"b{number}", overwrite=False).path
        except MissingFileError:
            return None

    with ThreadPoolExecutor(8) as pool:
        moved = [name for name in pool.map(move, range(40)) if name]
    assert moved
    assert all((root / name).read_bytes() == b"1" for name in moved)
    assert {path.name for path in root.iterdir()} == set(moved)


def test_racing_settings_are_all_kept(root: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: change_settings(root, {f"s{number}": number}), range(60)))
    assert read_settings(root) == {f"s{number}": number for number in range(60)}


def test_damaged_settings_are_set_aside_and_not_written_over(root: Path) -> None:
    write_file(root, SETTINGS_FILE, b'{"a": 1')
    assert read_settings(root) == {}
    change_settings(root, {"b": 2})
    assert read_settings(root) == {"b": 2}
    assert (root / "comfy.settings.damaged").read_bytes() == b'{"a": 1'


def test_settings_too_deep_to_be_read_again_are_refused(root: Path) -> None:
    change_settings(root, {"a": 1})
    with pytest.raises(json.JsonError):
        change_settings(root, {"b": json.parse("[" * 64 + "]" * 64)})
    assert read_settings(root) == {"a": 1}


def test_a_file_that_is_removed_while_it_is_written_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.userdata.write_durably", lambda path, data: None)
    with pytest.raises(MissingFileError):
        write_file(root, "a", b"1")
