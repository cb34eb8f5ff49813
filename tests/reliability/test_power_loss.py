"""After a loss of power the end of the write-ahead log is missing or garbage: a prefix of the commits remains (R3)."""

from __future__ import annotations

from pathlib import Path
from random import Random

from engine.jobs.job import Ending, Saved
from engine.jobs.store import JobStore
from tests.unit.jobs.making import new_job

FILE = Saved("1", "a.png", "", "output", 1, "00", "image/png")
Rows = list[tuple[object, ...]]


def rows(store: JobStore) -> Rows:
    """Everything that must change together."""
    jobs = store.connection.execute("SELECT id, state, attempt, deaths FROM jobs ORDER BY seq").fetchall()
    attempts = store.connection.execute("SELECT job, number, outcome FROM attempts ORDER BY job, number").fetchall()
    return [*jobs, *attempts, *store.connection.execute("SELECT job, place FROM files ORDER BY job").fetchall()]


def commit_some(path: Path, random: Random, commits: int) -> tuple[list[tuple[int, Rows]], bytes, bytes]:
    """The log's length and all rows after each commit, and the bytes of the store and of its log before it closed."""
    store = JobStore(path)
    for _ in range(20):
        store.enqueue(new_job())
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log = path.with_name(path.name + "-wal")
    history = [(0, rows(store))]
    for _ in range(commits):
        store.connection.execute("BEGIN IMMEDIATE")
        for _ in range(random.randint(1, 3)):
            _change(store, random)
        store.connection.execute("COMMIT")
        history.append((log.stat().st_size, rows(store)))
    data, tail = path.read_bytes(), log.read_bytes()
    store.close()
    return history, data, tail


def _change(store: JobStore, random: Random) -> None:
    if random.random() < 0.5:
        store.enqueue(new_job(prompt="x" * random.randint(1, 3000)))
    elif (attempt := store.claim("w")) is not None:
        if random.random() < 0.7:
            store.complete(attempt, Ending("done", {}, [], None, (FILE,)))
        else:
            store.lost(attempt)


def lose_power(folder: Path, times: int, seed: int = 1) -> int:
    """Cut the log at random offsets, with garbage or old bytes behind the cut in some. How often something was lost."""
    random, lost = Random(seed), 0
    history, data, log = commit_some(folder / "jobs.sqlite3", random, 80)
    assert len(log) < 4_000_000  # else SQLite has moved some of it into the store itself
    for number in range(times):
        cut = random.randint(0, len(log))
        tail = random.choice((b"", random.randbytes(random.randint(1, 9000)), bytes(4096)))
        path = folder / f"{number}.sqlite3"
        path.write_bytes(data)
        path.with_name(path.name + "-wal").write_bytes(log[:cut] + tail)
        store = JobStore(path)
        assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        left = [state for length, state in history if length <= cut][-1]
        assert rows(store) == left, f"cut at {cut} of {len(log)}"
        store.enqueue(new_job())
        store.close()
        path.unlink()
        lost += left != history[-1][1]
    return lost


def test_a_log_without_its_end_leaves_a_prefix_of_the_commits(tmp_path: Path) -> None:
    assert lose_power(tmp_path, 50) > 25


def test_a_commit_is_brought_to_disk(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite3")
    full = 2
    assert store.connection.execute("PRAGMA synchronous").fetchone() == (full,)
    assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()
