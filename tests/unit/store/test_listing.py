from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.foundation.settings import settings_under
from engine.store import folders as folders_module
from engine.store.folders import Folders, folders
from engine.store.listing import Listing

LONG_AGO = 1_000_000_000 * 10**9


def listing(tmp_path: Path) -> Listing:
    for name in ("models/loras/a.safetensors", "models/loras/sub/b.safetensors"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for folder in ("models/loras", "models/loras/sub"):
        os.utime(tmp_path / folder, ns=(LONG_AGO, LONG_AGO))
    return Listing(folders(settings_under(tmp_path)))


def test_a_folder_that_did_not_change_is_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[str] = []
    real = Folders.list
    monkeypatch.setattr(folders_module.Folders, "list", lambda self, kind: (walks.append(kind), real(self, kind))[1])
    known = listing(tmp_path)
    assert [known.list("loras") for _ in range(3)] == [("a.safetensors", "sub/b.safetensors")] * 3
    assert walks == ["loras"]


@pytest.mark.parametrize("place", ["new.safetensors", "sub/new.safetensors"])
def test_a_new_file_is_seen_at_once_and_changes_the_version(tmp_path: Path, place: str) -> None:
    known = listing(tmp_path)
    before = known.version(["loras"])
    (tmp_path / "models" / "loras" / place).touch()
    assert place in known.list("loras")
    assert known.version(["loras"]) != before


def test_a_folder_that_changed_a_moment_ago_is_not_trusted_yet(tmp_path: Path) -> None:
    known = listing(tmp_path)
    folder = tmp_path / "models" / "loras"
    (folder / "c.safetensors").touch()
    known.list("loras")
    stamp = folder.stat().st_mtime_ns
    (folder / "d.safetensors").touch()
    os.utime(folder, ns=(stamp, stamp))  # within one tick of the clock of the file system
    assert "d.safetensors" in known.list("loras")


def test_a_folder_that_does_not_exist_is_empty_until_it_does(tmp_path: Path) -> None:
    known = Listing(folders(settings_under(tmp_path)))
    assert known.list("vae") == ()
    (tmp_path / "models" / "vae").mkdir(parents=True)
    (tmp_path / "models" / "vae" / "a.pt").touch()
    assert known.list("vae") == ("a.pt",)
