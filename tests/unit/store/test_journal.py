from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from engine.store.artifacts import ArtifactStore
from engine.store.journal import SaveJournal, journal_path, last_number, remove_journal, remove_stale_journals


def store(base: Path, job: str = "job") -> ArtifactStore:
    """The store of a new attempt of `job`."""
    return ArtifactStore({"output": base / "output"}, SaveJournal(journal_path(base / "user", job)))


def names(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "output").iterdir())


def test_a_repeated_attempt_takes_over_what_the_one_before_wrote(tmp_path: Path) -> None:
    first = store(tmp_path).save(b"picture", "a", ".png", "output")
    again = store(tmp_path).save(b"picture", "a", ".png", "output")
    assert again == first
    assert names(tmp_path) == ["a_00001_.png"]


def test_two_equal_results_of_one_attempt_are_two_files_and_each_is_taken_over_once(tmp_path: Path) -> None:
    one = store(tmp_path)
    made = [one.save(b"same", "a", ".png", "output").filename for _ in range(2)]
    other = store(tmp_path)
    again = [other.save(b"same", "a", ".png", "output").filename for _ in range(3)]
    assert made == ["a_00001_.png", "a_00002_.png"]
    assert again == ["a_00001_.png", "a_00002_.png", "a_00003_.png"]


def test_an_intent_without_its_file_is_written_now(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    journal = SaveJournal(journal_path(tmp_path / "user", "job"))
    journal.intend(tmp_path / "output", "a", ".png", 7, sha256(b"picture").hexdigest())
    assert store(tmp_path).save(b"picture", "a", ".png", "output").filename == "a_00001_.png"


def test_a_file_that_was_there_before_the_job_is_never_taken_over(tmp_path: Path) -> None:
    ArtifactStore({"output": tmp_path / "output"}).save(b"picture", "a", ".png", "output")
    journal = SaveJournal(journal_path(tmp_path / "user", "job"))
    journal.intend(tmp_path / "output", "a", ".png", 7, sha256(b"picture").hexdigest())
    assert store(tmp_path).save(b"picture", "a", ".png", "output").filename == "a_00002_.png"


def test_a_file_of_the_same_size_and_other_content_is_not_taken_over(tmp_path: Path) -> None:
    made = store(tmp_path).save(b"picture", "a", ".png", "output")
    made.path.write_bytes(b"changed")
    assert store(tmp_path).save(b"picture", "a", ".png", "output").filename == "a_00002_.png"


@pytest.mark.parametrize("cut", [b'{"folder": "/x", "st', b"\xff\xfe\x00", b'{"other": 1}', b"[]"])
def test_a_line_that_a_crash_has_cut_costs_only_itself(tmp_path: Path, cut: bytes) -> None:
    store(tmp_path).save(b"one", "a", ".png", "output")
    with journal_path(tmp_path / "user", "job").open("ab") as file:
        file.write(b"\n" + cut)
    store(tmp_path).save(b"two", "a", ".png", "output")
    third = store(tmp_path)
    assert third.save(b"two", "a", ".png", "output").filename == "a_00002_.png"
    assert third.save(b"one", "a", ".png", "output").filename == "a_00001_.png"


def test_journals_go_with_their_jobs(tmp_path: Path) -> None:
    for job in ("a", "../b", "c"):
        store(tmp_path, job).save(b"x", "x", ".png", "output")
    remove_journal(tmp_path / "user", "a")
    remove_journal(tmp_path / "user", "a")
    remove_stale_journals(tmp_path / "user", ["../b"])
    assert list((tmp_path / "user" / "journals").iterdir()) == [journal_path(tmp_path / "user", "../b")]


def test_numbers_count_only_names_of_the_same_stem(tmp_path: Path) -> None:
    for name in ("a_00004_.png", "a_b_00009_.png", "a_x_.png", "a_7.png"):
        (tmp_path / name).touch()
    assert last_number(tmp_path, "a") == 4
    assert last_number(tmp_path, "c") == 0
