"""A result is whole, under a name of its own, or not there at all."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from engine.store.artifacts import ArtifactStore, DiskFullError, StoreError
from engine.store.confine import PathError


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore({"output": tmp_path / "out", "temp": tmp_path / "temp"})


def test_names_count_up_from_the_highest(store: ArtifactStore) -> None:
    store.roots["output"].mkdir()
    (store.roots["output"] / "easel_00041_.png").write_bytes(b"")
    names = [store.save(b"x", "easel", ".png", "output").filename for _ in range(2)]
    assert names == ["easel_00042_.png", "easel_00043_.png"]


def test_an_artifact_says_what_is_on_disk(store: ArtifactStore) -> None:
    artifact = store.save(b"data", "a/b/%width%x%height%", ".png", "temp", (64, 32))
    assert (artifact.subfolder, artifact.filename, artifact.type) == ("a/b", "64x32_00001_.png", "temp")
    assert artifact.path.read_bytes() == b"data"
    assert (artifact.size, artifact.sha256) == (4, sha256(b"data").hexdigest())


def test_savers_at_the_same_time_get_different_names(store: ArtifactStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda i: store.save(str(i).encode(), "x", ".bin", "output"), range(64)))
    assert len({artifact.path for artifact in saved}) == 64
    assert [artifact.path.read_bytes() for artifact in saved] == [str(i).encode() for i in range(64)]


def test_a_full_disk_is_told_and_leaves_nothing(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="the disk is full") as caught:
        store.save(b"x" * 1000, "easel", ".png", "output")
    assert caught.value.code == "disk_full"
    assert list(store.roots["output"].iterdir()) == []


def test_a_prefix_that_climbs_is_refused(store: ArtifactStore) -> None:
    with pytest.raises(PathError):
        store.save(b"x", "../../evil", ".png", "output")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        ArtifactStore({"output": tmp_path / "file" / "below"}).save(b"x", "a", ".png", "output")


def test_a_file_system_without_hard_links_is_fine_too(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    saved = [store.save(bytes([i]), "x", ".bin", "output") for i in range(3)]
    assert [artifact.path.read_bytes() for artifact in saved] == [b"\0", b"\1", b"\2"]
    assert len(list(store.roots["output"].iterdir())) == 3
