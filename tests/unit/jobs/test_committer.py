from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from engine.jobs.committer import Committer, StoreUnavailableError
from engine.jobs.store import IdInUseError, JobStore
from tests.unit.jobs.making import new_job


def with_committer(path: Path, work: Any) -> Any:
    async def whole() -> Any:
        committer = Committer(path / "jobs.sqlite3")
        try:
            return await work(committer)
        finally:
            committer.close()

    return asyncio.run(whole())


def test_many_operations_at_once_share_commits(tmp_path: Path) -> None:
    async def work(committer: Committer) -> list[int]:
        await committer.do(lambda store: store.waiting())
        commits: list[int] = []
        await committer.do(
            lambda store: store.connection.set_trace_callback(lambda sql: commits.append("COMMIT" in sql))
        )
        await asyncio.gather(*(committer.do(lambda store: store.enqueue(new_job())) for _ in range(200)))
        assert await committer.do(lambda store: store.waiting()) == 200
        return commits

    assert sum(with_committer(tmp_path, work)) < 50


def test_one_operation_that_fails_undoes_itself_alone(tmp_path: Path) -> None:
    async def work(committer: Committer) -> Any:
        await committer.do(lambda store: store.enqueue(new_job("a", digest="1")))

        def half(store: JobStore) -> None:
            store.enqueue(new_job("half"))
            store.enqueue(new_job("a", digest="2"))

        answers = await asyncio.gather(
            committer.do(lambda store: store.enqueue(new_job("b"))),
            committer.do(half),
            committer.do(lambda store: 1 / 0),
            return_exceptions=True,
        )
        assert isinstance(answers[1], IdInUseError)
        assert isinstance(answers[2], ZeroDivisionError)
        return await committer.do(lambda store: sorted(job.id for job in store.queue()[1]))

    assert with_committer(tmp_path, work) == ["a", "b"]


def test_a_damaged_store_is_set_aside_and_a_new_one_begun(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "jobs.sqlite3").write_bytes(b"garbage" * 1000)

    async def work(committer: Committer) -> Any:
        await committer.do(lambda store: store.enqueue(new_job("a")))
        return committer.set_aside

    aside = with_committer(tmp_path, work)
    assert aside.read_bytes() == b"garbage" * 1000
    assert "set aside" in caplog.text


def test_a_store_that_cannot_be_written_is_an_error_with_a_name_and_heals(tmp_path: Path) -> None:
    """The file may not grow for a while, as on a full disk."""

    async def work(committer: Committer) -> Any:
        await committer.do(lambda store: store.enqueue(new_job("a")))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = os.path.getsize(tmp_path / "jobs.sqlite3-wal")  # noqa: PTH202  # plain and right here
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises(StoreUnavailableError, match="cannot be used now"):
                await committer.do(lambda store: store.enqueue(new_job("b", prompt="x" * 100_000)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await committer.do(lambda store: store.enqueue(new_job("c")))
        return await committer.do(lambda store: [job.id for job in store.queue()[1]])

    assert with_committer(tmp_path, work) == ["a", "c"]


def test_a_caller_that_goes_away_disturbs_nobody(tmp_path: Path) -> None:
    async def work(committer: Committer) -> Any:
        task = asyncio.create_task(committer.do(lambda store: store.enqueue(new_job("a"))))
        await asyncio.sleep(0)
        task.cancel()
        return await committer.do(lambda store: store.waiting())

    assert with_committer(tmp_path, work) == 1
