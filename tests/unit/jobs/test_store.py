from __future__ import annotations

import json
import sqlite3
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from engine.jobs.job import Attempt, Ending, Saved
from engine.jobs.schema import SchemaError, migrate
from engine.jobs.store import DamagedStoreError, IdInUseError, JobStateError, JobStore, QueueFullError
from tests.unit.jobs.making import new_job

DONE = Ending("done", {"1": {"images": []}}, [["execution_success", {}]])
DEAD = Ending("quarantined", {}, [], {"type": "quarantined", "message": "it died"})


@pytest.fixture
def store(tmp_path: Path) -> Any:
    ticks = count(1)
    store = JobStore(tmp_path / "jobs.sqlite3", max_waiting=50, max_history=5, clock=lambda: next(ticks))
    yield store
    store.close()


def claimed(store: JobStore, **changes: Any) -> Attempt:
    store.enqueue(new_job(**changes))
    attempt = store.claim("worker")
    assert attempt is not None
    return attempt


def order(store: JobStore) -> list[str]:
    return [job.id for job in store.queue()[1]]


def test_jobs_run_by_priority_then_number_then_arrival(store: JobStore) -> None:
    for job_id, number, priority in (("a", 5, 0), ("b", -1, 0), ("c", 5, 0), ("d", 9, 1)):
        store.enqueue(new_job(job_id, number=number, priority=priority))
    assert order(store) == ["d", "b", "a", "c"]
    first = store.claim("worker")
    assert first is not None
    assert first.job.id == "d"


def test_the_same_request_twice_is_one_job_and_another_under_its_id_is_refused(store: JobStore) -> None:
    first = store.enqueue(new_job("a", digest="x"))
    assert store.enqueue(new_job("a", digest="x")).seq == first.seq
    with pytest.raises(IdInUseError, match="another job has this id"):
        store.enqueue(new_job("a", digest="y"))


def test_a_full_queue_takes_no_more(store: JobStore) -> None:
    for _ in range(50):
        store.enqueue(new_job())
    with pytest.raises(QueueFullError, match="at most 50"):
        store.enqueue(new_job())


def test_a_result_is_taken_once_and_only_from_the_latest_attempt(store: JobStore) -> None:
    old = claimed(store, job_id="a")
    assert store.lost(old) == "pending"
    new = store.claim("worker")
    assert new is not None
    assert not store.complete(old, DONE)
    assert store.complete(new, DONE)
    assert not store.complete(new, DONE)
    assert [attempt["outcome"] for attempt in store.attempts("a")] == ["interrupted", "done"]


def test_a_result_is_kept_with_its_files(store: JobStore) -> None:
    attempt = claimed(store, job_id="a", secrets='{"key": "hidden"}')
    saved = Saved("1", "a_00001_.png", "sub", "output", 3, "aa", "image/png")
    store.complete(attempt, Ending("done", {"1": {}}, [], None, (saved,)))
    assert store.files("a") == [saved]
    job = store.get("a")
    assert (job.state, json.loads(job.outputs), job.secrets) == ("done", {"1": {}}, None)


def test_a_job_that_kills_its_worker_twice_is_quarantined_and_waits_behind_others_before(store: JobStore) -> None:
    attempt = claimed(store, job_id="bad")
    store.enqueue(new_job("good", number=100))
    assert store.lost(attempt, DEAD) == "pending"
    assert order(store) == ["good", "bad"]
    store.remove_waiting(["good"])
    second = store.claim("worker")
    assert second is not None
    assert store.lost(second, DEAD) == "quarantined"
    assert "it died" in (store.get("bad").error or "")


def test_deaths_that_nobody_is_to_blame_for_never_count(store: JobStore) -> None:
    store.enqueue(new_job("a"))
    for _ in range(10):
        attempt = store.claim("worker")
        assert attempt is not None
        assert store.lost(attempt) == "pending"
    assert store.get("a").deaths == 0


def test_jobs_that_ran_when_the_process_ended_wait_again(store: JobStore) -> None:
    claimed(store, job_id="a")
    assert store.recover() == ["a"]
    assert store.get("a").state == "pending"


def test_only_waiting_jobs_are_cancelled_in_the_store(store: JobStore) -> None:
    running = claimed(store, job_id="a")
    store.enqueue(new_job("b"))
    assert (store.cancel("a"), store.cancel("b"), store.cancel("c")) == ("running", "pending", None)
    assert store.get("b").state == "cancelled"
    assert store.complete(running, DONE)


def test_a_job_that_was_cancelled_while_it_ran_does_not_wait_again_when_its_worker_is_lost(store: JobStore) -> None:
    for job_id in ("a", "b"):
        store.enqueue(new_job(job_id))
    first, second = store.claim("w"), store.claim("w")
    assert first is not None
    assert second is not None
    assert [store.cancel("a"), store.cancel("b")] == ["running", "running"]
    assert store.lost(first) == "cancelled"
    assert store.recover() == []
    assert [store.get(job_id).state for job_id in ("a", "b")] == ["cancelled", "cancelled"]
    store.retry("a")
    again = store.claim("w")
    assert again is not None
    assert store.lost(again) == "pending"


def test_removed_jobs_leave_no_trace(store: JobStore) -> None:
    claimed(store, job_id="a")
    store.enqueue(new_job("b"))
    store.enqueue(new_job("c"))
    assert store.remove_waiting(["a", "b", "unknown"]) == 1
    assert store.remove_waiting() == 1
    assert store.history() == []


def test_a_paused_queue_gives_nothing_away(store: JobStore) -> None:
    store.enqueue(new_job("a"))
    store.pause(True)
    assert store.claim("worker") is None
    store.pause(False)
    assert store.claim("worker") is not None


def test_waiting_jobs_change_places(store: JobStore) -> None:
    for job_id in "abcd":
        store.enqueue(new_job(job_id))
    store.reorder(["d", "b", "a"])
    assert order(store) == ["d", "b", "c", "a"]
    with pytest.raises(JobStateError, match="no such job"):
        store.reorder(["a", "x"])


def test_a_failed_job_is_tried_again_with_a_clean_slate(store: JobStore) -> None:
    store.complete(claimed(store, job_id="a"), Ending("failed", {}, [["execution_error", {}]], {"type": "x"}))
    assert store.retry("a").state == "pending"
    attempt = store.claim("worker")
    assert attempt is not None
    assert attempt.number == 2
    store.complete(attempt, DONE)
    with pytest.raises(JobStateError, match="only a job that failed"):
        store.retry("a")


def test_history_is_paged_and_keeps_the_newest(store: JobStore) -> None:
    for number in range(8):
        store.complete(claimed(store, job_id=f"j{number}"), DONE)
    assert [job.id for job in store.history()] == ["j3", "j4", "j5", "j6", "j7"]
    assert [job.id for job in store.history(2)] == ["j6", "j7"]
    assert [job.id for job in store.history(2, 1)] == ["j4", "j5"]
    store.forget(["j3"])
    assert len(store.history()) == 4
    store.forget()
    assert store.history() == []


def test_a_page_of_all_jobs_by_state_and_workflow(store: JobStore) -> None:
    store.complete(claimed(store, job_id="a", workflow="w"), DONE)
    store.enqueue(new_job("b", workflow="w"))
    store.enqueue(new_job("c"))
    jobs, total = store.jobs(workflow="w", limit=1)
    assert ([job.id for job in jobs], total) == (["b"], 2)
    assert [job.id for job in store.jobs(states=["done"])[0]] == ["a"]


def test_numbers_stay_whole_or_broken_as_they_were(store: JobStore) -> None:
    assert repr(store.enqueue(new_job("a", number=3)).number) == "3"
    assert repr(store.enqueue(new_job("b", number=-7.0)).number) == "-7.0"
    assert store.highest_number() == 3


def test_what_is_committed_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    store = JobStore(path)
    assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.enqueue(new_job("a"))
    store.close()
    again = JobStore(path)
    assert order(again) == ["a"]
    again.close()


@pytest.mark.parametrize(
    "content", [b"this is no database, whatever its name says" * 40, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "jobs.sqlite3"
    path.write_bytes(content)
    with pytest.raises(DamagedStoreError, match="job store"):
        JobStore(path)


def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SchemaError, match="later version"):
        JobStore(path)


def test_a_store_of_an_earlier_version_is_brought_up_step_by_step() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ("CREATE TABLE one (a);",))
    migrate(connection, ("CREATE TABLE one (a);", "ALTER TABLE one ADD COLUMN b DEFAULT 7;"))
    connection.execute("INSERT INTO one (a) VALUES (1)")
    assert connection.execute("SELECT a, b FROM one").fetchall() == [(1, 7)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()
