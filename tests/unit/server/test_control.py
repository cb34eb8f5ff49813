"""Queue, interrupt, history, jobs: what the community's clients steer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.jobs.store import JobStore
from tests.unit.jobs.making import new_job, program
from tests.unit.server.world import World, serve

LONG = ("Steps", {"count": 100_000})


async def running(world: World, job_id: str) -> None:
    """Wait until a job runs."""
    while job_id not in [run.attempt.job.id for run in world.state.dispatcher.runs if run.record.node]:
        await asyncio.sleep(0.005)


def test_the_queue_shows_what_runs_and_what_waits(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        first = await world.queue(LONG, client_id="me", extra_data={"note": 1})
        await running(world, first)
        second = await world.queue(("Say", {}), front=True)
        return first, second, await world.get_json("/queue"), await world.get_json("/prompt")

    first, second, queue, remaining = serve(tmp_path, work)
    number, job_id, graph, extra, outputs = queue["queue_running"][0]
    assert (number, job_id, outputs) == (0, first, ["1"])
    assert graph["1"]["class_type"] == "Steps"
    assert extra["client_id"] == "me"
    assert extra["note"] == 1
    assert isinstance(extra["create_time"], int)
    assert [item[1] for item in queue["queue_pending"]] == [second]
    assert remaining == {"exec_info": {"queue_remaining": 2}}


def test_waiting_jobs_are_deleted_without_a_trace_and_running_ones_left_alone(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        first = await world.queue(LONG)
        await running(world, first)
        second, third = await world.queue(("Say", {})), await world.queue(("Say", {}))
        assert (await world.post("/queue", {"delete": [second, first, "unknown"]})).status == 200
        left = await world.get_json("/queue")
        assert (await world.post("/api/queue", {"clear": True})).status == 200
        return [item[1] for item in left["queue_pending"]], third, await world.get_json("/queue")

    left, third, cleared = serve(tmp_path, work)
    assert left == [third]
    assert cleared["queue_pending"] == []
    assert len(cleared["queue_running"]) == 1


def test_interrupting_stops_what_runs_and_nothing_else(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        assert (await world.client.post("/interrupt")).status == 200  # idle: does not affect what comes
        first = await world.queue(LONG)
        second = await world.queue(("Steps", {"count": 5}))
        await running(world, first)
        assert (await world.post("/interrupt", {"prompt_id": second})).status == 200
        await asyncio.sleep(0.1)
        still = [run.attempt.job.id for run in world.state.dispatcher.runs]
        await world.post("/interrupt", {"prompt_id": first})
        return still == [first], await world.ended(first), await world.ended(second)

    untouched, first, second = serve(tmp_path, work)
    assert untouched
    assert (first["status"]["status_str"], first["status"]["completed"]) == ("error", False)
    assert [name for name, _ in first["status"]["messages"]] == [
        *("execution_start", "execution_cached", "execution_interrupted"),
    ]
    assert second["status"]["status_str"] == "success"


def test_history_has_what_clients_read(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        job_id = await world.queue(("Save", {"name": "x.png"}), client_id="me")
        return job_id, await world.ended(job_id)

    job_id, entry = serve(tmp_path, work)
    assert entry["prompt"][1] == job_id
    assert entry["outputs"] == {"1": {"images": [{"filename": "x.png"}]}}
    assert entry["meta"]["1"] == {"node_id": "1", "display_node": "1", "parent_node": None, "real_node_id": "1"}
    names = [name for name, _ in entry["status"]["messages"]]
    assert names == ["execution_start", "execution_cached", "execution_success"]
    assert entry["status"]["messages"][0][1]["prompt_id"] == job_id


def test_a_failed_node_is_in_the_history_and_the_queue_goes_on(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        bad, good = await world.queue(("Fail", {})), await world.queue(("Say", {}))
        return await world.ended(bad), await world.ended(good)

    bad, good = serve(tmp_path, work)
    name, data = bad["status"]["messages"][-1]
    assert name == "execution_error"
    assert data["exception_message"] == "it failed\n"
    assert (data["exception_type"], data["node_id"], data["node_type"]) == ("ValueError", "1", "Fail")
    assert good["status"]["completed"]


def test_history_is_paged_and_deleted(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        ids = [await world.queue(("Say", {})) for _ in range(4)]
        await world.ended(ids[-1])
        newest = await world.get_json("/history?max_items=2")
        middle = await world.get_json("/history?max_items=2&offset=1")
        await world.post("/history", {"delete": [ids[0]]})
        rest = await world.get_json("/history")
        await world.post("/history", {"clear": True})
        return ids, newest, middle, rest, await world.get_json("/history")

    ids, newest, middle, rest, none = serve(tmp_path, work)
    assert list(newest) == ids[2:]
    assert list(middle) == ids[1:3]
    assert list(rest) == ids[1:]
    assert none == {}


def test_the_job_list_in_the_communitys_form(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        workflow = {"extra_pnginfo": {"workflow": {"id": "wf"}}}
        saved = await world.queue(("Save", {"name": "x.png"}), extra_data=workflow)
        failed = await world.queue(("Fail", {}))
        await world.ended(failed)
        page = await world.get_json("/api/jobs?status=completed,failed&sort_order=asc&limit=1")
        return (
            saved,
            failed,
            page,
            await world.get_json(f"/api/jobs/{saved}"),
            await world.get_json(f"/api/jobs/{failed}"),
        )

    saved, _, page, job, broken = serve(tmp_path, work)
    assert page["pagination"] == {"offset": 0, "limit": 1, "total": 2, "has_more": True}
    assert page["jobs"][0]["id"] == saved
    assert (job["status"], job["outputs_count"], job["workflow_id"]) == ("completed", 1, "wf")
    assert job["preview_output"]["nodeId"] == "1"
    assert job["workflow"]["prompt"]["1"]["class_type"] == "Save"
    assert broken["execution_error"]["exception_message"] == "it failed\n"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/jobs/nobody", 404),
        ("/api/jobs?status=odd", 400),
        ("/api/jobs?sort_by=odd", 400),
        ("/api/jobs?limit=0", 400),
        ("/history?max_items=x", 400),
        ("/jobs", 404),
    ],
)
def test_bad_parameters_are_refused(tmp_path: Path, path: str, status: int) -> None:
    async def work(world: World) -> Any:
        return await world.client.get(path)

    assert serve(tmp_path, work).status == status


@pytest.mark.parametrize("path", ["/queue", "/history"])
@pytest.mark.parametrize("body", [{"delete": None}, {"delete": "x"}, {"delete": [1]}, {"clear": 1}, [], "x", 5])
def test_odd_bodies_harm_nothing(tmp_path: Path, path: str, body: Any) -> None:
    async def work(world: World) -> Any:
        return (await world.post(path, body)).status

    assert serve(tmp_path, work) == (200 if body == {"delete": None} else 400)


def test_a_worker_that_dies_costs_one_attempt_and_poison_is_quarantined(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        poison = await world.queue(("Exit", {}), client_id="me")
        good = await world.queue(("Say", {}))
        return await world.ended(good), await world.ended(poison), await world.get_json(f"/api/v1/jobs/{poison}")

    good, entry, job = serve(tmp_path, work)
    assert good["status"]["completed"]
    assert entry["status"]["messages"][-1][1]["exception_type"] == "WorkerDied"
    assert job["state"] == "quarantined"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["died", "quarantined"]


def test_jobs_that_wait_run_after_a_restart(tmp_path: Path) -> None:
    async def first(world: World) -> Any:
        running_one = await world.queue(LONG)
        await running(world, running_one)
        return running_one, await world.queue(("Say", {}))

    interrupted, waiting = serve(tmp_path, first)

    async def second(world: World) -> Any:
        queue = await world.get_json("/queue")
        await running(world, interrupted)
        await world.post("/interrupt")
        number = await (await world.post("/prompt", {"prompt": {"1": {"class_type": "Say", "inputs": {}}}})).json()
        return queue, await world.ended(waiting), number["number"]

    queue, entry, number = serve(tmp_path, second)
    assert {item[1] for kind in queue.values() for item in kind} == {interrupted, waiting}
    assert entry["status"]["completed"]
    assert number == 2


def test_a_job_whose_client_went_away_while_it_was_queued_runs_all_the_same(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        asked = asyncio.create_task(world.state.dispatcher.submit(new_job("left", prompt=program(("Say", {})))))
        await asyncio.sleep(0)
        asked.cancel()
        return await world.ended("left")

    assert serve(tmp_path, work)["status"]["completed"]


def test_jobs_that_were_left_count_before_the_queue_is_opened(tmp_path: Path) -> None:
    """A client that asks just after a restart must not hear that nothing is left."""
    (tmp_path / "user").mkdir()
    store = JobStore(tmp_path / "user" / "jobs.sqlite3")
    store.enqueue(new_job())
    store.pause(True)
    store.close()

    async def work(world: World) -> None:
        world.state.broadcast.remaining = None  # as before the first notice
        assert await world.get_json("/prompt") == {"exec_info": {"queue_remaining": 1}}

    serve(tmp_path, work)
