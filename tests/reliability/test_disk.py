"""Disks that are full, read-only or damaged, and more work than there is room for (R15, R16)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from engine.graph.spec import InputSpec, NodeSpec, OutputSpec
from engine.jobs.store import JobStore
from tests.reliability.server_process import session, submit
from tests.reliability.test_poison import ended, one, serving
from tests.unit.jobs.making import new_job
from tests.unit.jobs.toy_specs import SPECS
from tests.unit.server.world import World, prompt, serve


def test_a_full_disk_fails_its_job_by_name_and_the_queue_goes_on(tmp_path: Path) -> None:
    async def whole() -> tuple[dict[str, Any], dict[str, Any]]:
        async with serving(tmp_path) as (server, client):
            await submit(client, server.url, "full", one("Full"))
            await submit(client, server.url, "next", one("Save", name="a.png"))
            return await ended(server, client, "full"), await ended(server, client, "next")

    full, following = asyncio.run(whole())
    assert (full["state"], full["error"]["type"], full["error"]["exception"]) == (
        "failed",
        "disk_full",
        "DiskFullError",
    )
    assert following["state"] == "done"
    assert not list((tmp_path / "output").rglob("*.part"))


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of 64 KiB at `place`; skips where none can be mounted."""
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a file system takes root: run it in a container or as root, as CI does")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_really_fills_up_fails_the_jobs_that_do_not_fit(tmp_path: Path) -> None:
    async def whole() -> list[str]:
        async with serving(tmp_path) as (server, client):
            for number in range(6):  # each of 20 kB
                await submit(client, server.url, f"{number}", one("Save", name="a.png"))
            states = [(await ended(server, client, f"{number}")) for number in range(6)]
            return [job["error"]["type"] if job["error"] else job["state"] for job in states]

    try:
        with small_disk(tmp_path / "output"):
            states = asyncio.run(whole())
    except FileNotFoundError:
        pytest.skip("there is no mount command: run it on Linux, as CI does")
    assert states[:2] == ["done", "done"]
    assert set(states[2:]) <= {"done", "disk_full"}
    assert states[-1] == "disk_full"


def test_a_store_that_cannot_be_written_refuses_jobs_by_name_and_answers_the_rest(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        first = await world.queue(("Say", {}))
        await world.ended(first)
        connection = await world.state.dispatcher.look(lambda store: store.connection)
        connection.execute("PRAGMA query_only = 1")
        answer = await world.post("/prompt", {"prompt": prompt(("Say", {}))})
        assert answer.status == 503
        assert (await answer.json())["error"]["type"] == "store_unavailable"
        assert await world.get_json("/prompt") == {"exec_info": {"queue_remaining": 0}}
        connection.execute("PRAGMA query_only = 0")
        await world.ended(await world.queue(("Say", {})))

    serve(tmp_path, work)


def test_a_server_boots_over_a_store_it_cannot_open_and_heals(tmp_path: Path) -> None:
    """Another process holds the store for itself, as a backup may."""
    (tmp_path / "user").mkdir()
    JobStore(tmp_path / "user" / "jobs.sqlite3").close()

    async def whole() -> tuple[int, dict[str, Any]]:
        with closing(sqlite3.connect(tmp_path / "user" / "jobs.sqlite3", isolation_level=None)) as holder:
            holder.execute("PRAGMA locking_mode = EXCLUSIVE")
            holder.execute("BEGIN EXCLUSIVE")
            async with serving(tmp_path) as (server, client):
                async with client.get(f"{server.url}/healthz") as answer:
                    status = answer.status
                holder.execute("ROLLBACK")
                holder.close()
                async with session() as patient:
                    while await submit(patient, server.url, "job", one("Say")) != 200:
                        await asyncio.sleep(0.1)
                    return status, await ended(server, patient, "job")

    status, job = asyncio.run(whole())
    assert status in (200, 503)
    assert job["state"] == "done"


@pytest.mark.parametrize("where", [0, 100, 5000])
def test_a_damaged_store_is_set_aside_and_the_server_serves(tmp_path: Path, where: int) -> None:
    (tmp_path / "user").mkdir()
    path = tmp_path / "user" / "jobs.sqlite3"
    store = JobStore(path)
    for _ in range(50):
        store.enqueue(new_job())
    store.close()
    data = bytearray(path.read_bytes())
    data[where : where + 4000] = b"\xa5" * 4000
    path.write_bytes(data)

    async def work(world: World) -> None:
        await world.ended(await world.queue(("Say", {})))

    serve(tmp_path, work)
    [aside] = [item for item in (tmp_path / "user").glob("jobs.sqlite3.damaged-*") if item.suffix != ""]
    assert aside.read_bytes() == data


def test_five_thousand_nodes_are_taken_within_two_seconds_of_work(tmp_path: Path) -> None:
    link = NodeSpec(id="Pass", inputs=(InputSpec("thing", "THING"),), outputs=(OutputSpec("THING", "THING"),))
    deep: dict[str, Any] = {"0": {"class_type": "Make", "inputs": {}}}
    for number in range(1, 5000):
        deep[str(number)] = {"class_type": "Pass", "inputs": {"thing": [str(number - 1), 0]}}
    deep["end"] = {"class_type": "Use", "inputs": {"thing": ["4999", 0], "number": 1}}
    body = json.dumps({"prompt": deep})

    async def work(world: World) -> float:
        await world.state.dispatcher.change(lambda store: store.pause(True))
        began = process_time()
        answer = await world.client.post("/prompt", data=body, headers={"Content-Type": "application/json"})
        assert answer.status == 200
        return process_time() - began

    seconds = serve(tmp_path, work, specs=lambda: SPECS | {"Pass": link})
    print(f"5,000 nodes submitted with {seconds:.2f} s of work")
    assert seconds < 2.0


def test_a_full_queue_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.state.dispatcher.change(lambda store: store.pause(True))
        for _ in range(3):
            await world.queue(("Say", {}))
        refused = await world.post("/prompt", {"prompt": prompt(("Say", {}))})
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) >= 1
        await world.state.dispatcher.change(lambda store: store.pause(False))
        while (await world.get_json("/prompt"))["exec_info"]["queue_remaining"]:
            await asyncio.sleep(0.01)
        await world.ended(await world.queue(("Say", {})))

    serve(tmp_path, work, max_waiting=3)
