"""The socket: which messages come, in which order, and to whom."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

from engine.jobs.dispatcher import JobEvent
from engine.jobs.events import Preview
from tests.unit.server.test_control import LONG, running
from tests.unit.server.world import World, is_over, messages_until, serve


def kinds(messages: list[Any]) -> list[str]:
    return [message["type"] for message in messages if isinstance(message, dict)]


def test_a_new_socket_hears_the_status_with_its_id(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        named, nameless = await world.socket("me"), await world.client.ws_connect("/api/ws")
        return await named.receive_json(), await nameless.receive_json()

    named, nameless = serve(tmp_path, work)
    assert named == {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"}}
    assert len(nameless["data"]["sid"]) == 32


def test_a_run_is_told_in_the_known_order(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        socket = await world.socket("me")
        await world.queue(("Say", {}), ("Save", {"name": "x.png"}), client_id="me")
        return await messages_until(socket, is_over)

    told = serve(tmp_path, work)
    told = told[kinds(told).index("execution_start") - 3 :]
    assert kinds(told) == [
        *("status", "status", "status", "execution_start", "execution_cached"),
        *("progress_state", "executing", "executing", "executed", "progress_state"),
        *("execution_success", "status", "executing"),
    ]
    executed = told[8]["data"]
    assert executed["node"] == executed["display_node"] == "2"
    assert executed["output"] == {"images": [{"filename": "x.png"}]}
    assert told[-1]["data"].keys() == {"node", "prompt_id"}


def test_progress_names_the_node_and_its_steps(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        socket = await world.socket("me")
        await world.queue(("Steps", {"count": 30}), client_id="me")
        return await messages_until(socket, is_over)

    told = serve(tmp_path, work)
    steps = [message["data"] for message in told if message["type"] == "progress"]
    assert [step["value"] for step in steps] == sorted(step["value"] for step in steps)
    assert (steps[-1]["value"], steps[-1]["max"], steps[-1]["node"]) == (30, 30, "1")
    states = [message["data"]["nodes"]["1"] for message in told if message["type"] == "progress_state"]
    assert states[0]["state"] == "running"
    assert states[-1] == {
        "value": 30,
        "max": 30,
        "state": "finished",
        "node_id": "1",
        "prompt_id": steps[0]["prompt_id"],
        "display_node_id": "1",
        "parent_node_id": None,
        "real_node_id": "1",
    }


def test_a_failure_and_an_interrupt_are_told_before_the_end(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        socket = await world.socket("me")
        await world.queue(("Fail", {}), client_id="me")
        failed = await messages_until(socket, is_over)
        job = await world.queue(LONG, client_id="me")
        await running(world, job)
        await world.client.post("/interrupt")
        return failed, await messages_until(socket, is_over)

    failed, stopped = serve(tmp_path, work)
    assert kinds(failed)[-3:] == ["execution_error", "status", "executing"]
    assert kinds(stopped)[-3:] == ["execution_interrupted", "status", "executing"]
    data = stopped[-3]["data"]
    assert (data["node_id"], data["node_type"]) == ("1", "Steps")


def test_only_the_owner_hears_of_a_job_and_both_of_its_sockets_do(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        mine, also_mine, other = await world.socket("me"), await world.socket("me"), await world.socket("you")
        await world.queue(("Steps", {"count": 2}), client_id="me")
        told = [await messages_until(socket, is_over) for socket in (mine, also_mine)]
        await world.queue(("Say", {}), client_id="you")
        return told, await messages_until(other, is_over)

    (mine, also_mine), other = serve(tmp_path, work)
    assert kinds(mine)[2:] == kinds(also_mine)[1:] or kinds(mine)[-8:] == kinds(also_mine)[-8:]
    assert {message["data"].get("prompt_id") for message in other} - {None} == {other[-1]["data"]["prompt_id"]}
    assert mine[-1]["data"]["prompt_id"] != other[-1]["data"]["prompt_id"]


def test_progress_of_a_job_without_an_owner_reaches_everybody(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        socket = await world.socket("anybody")
        job_id = await world.queue(("Steps", {"count": 3}))
        await world.ended(job_id)
        await world.queue(("Say", {}), client_id="anybody")
        return kinds(await messages_until(socket, is_over))

    told = serve(tmp_path, work)
    assert "progress" in told
    assert told.count("execution_start") == 1


def test_who_comes_back_hears_how_it_ended(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        socket = await world.socket("me")
        job_id = await world.queue(LONG, client_id="me")
        await running(world, job_id)
        await socket.close()
        again = await world.socket("me")
        now = [await again.receive_json(), await again.receive_json()]
        await again.close()
        await asyncio.sleep(0.05)
        await world.client.post("/interrupt")
        await world.ended(job_id)
        await asyncio.sleep(0.05)
        last = await world.socket("me")
        return now, await messages_until(last, is_over)

    now, after = serve(tmp_path, work)
    assert now[1] == {"type": "executing", "data": {"node": "1"}}
    assert kinds(after) == ["status", "execution_interrupted", "executing"]


def test_previews_come_in_the_form_that_was_agreed_on(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        plain, detailed = await world.socket("me"), await world.socket("me")
        await plain.receive()
        await detailed.receive()
        await detailed.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        flags = await detailed.receive_json()
        job_id = await world.queue(LONG, client_id="me")
        await running(world, job_id)
        job = world.state.dispatcher.runs[0].attempt.job
        world.state.broadcast(JobEvent(job, 1, Preview("1", b"JPEG")))
        return job_id, flags, await first_bytes(plain), await first_bytes(detailed)

    job_id, flags, plain, detailed = serve(tmp_path, work)
    assert flags["type"] == "feature_flags"
    assert flags["data"]["supports_preview_metadata"] is True
    assert plain == struct.pack(">II", 1, 1) + b"JPEG"
    event, length = struct.unpack(">II", detailed[:8])
    assert event == 4
    assert detailed[8 + length :] == b"JPEG"
    assert json.loads(detailed[8 : 8 + length]) == {
        "node_id": "1",
        "prompt_id": job_id,
        "display_node_id": "1",
        "parent_node_id": None,
        "real_node_id": "1",
        "image_type": "image/jpeg",
    }


async def first_bytes(socket: Any) -> bytes:
    while True:
        message = await asyncio.wait_for(socket.receive(), 10)
        if isinstance(message.data, bytes):
            return message.data


def test_nonsense_from_a_client_is_ignored(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        socket = await world.socket("me")
        for text in ("{", "[]", '{"type": 5}', "null", '{"type": "feature_flags", "data": 1}'):
            await socket.send_str(text)
        await world.queue(("Say", {}), client_id="me")
        return kinds(await messages_until(socket, is_over))

    assert "execution_success" in serve(tmp_path, work)


def test_the_bytes_of_a_run_are_linear_in_its_graph(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        sizes = []
        for nodes in (50, 500):
            socket = await world.socket(f"c{nodes}")
            await world.queue(*[("Say", {})] * nodes, client_id=f"c{nodes}")
            told = await messages_until(socket, is_over)
            sizes.append(sum(len(json.dumps(message)) for message in told))
        return sizes

    small, large = serve(tmp_path, work)
    assert large < 12 * small


def test_finished_pictures_all_arrive_where_previews_would_give_way(tmp_path: Path) -> None:
    async def work(world: World) -> list[bytes]:
        socket = await world.socket("me")
        await socket.receive()
        await running(world, await world.queue(LONG, client_id="me"))
        job = world.state.dispatcher.runs[0].attempt.job
        for picture in (b"JPEG 1", b"JPEG 2"):
            world.state.broadcast(JobEvent(job, 1, Preview("1", picture)))
        for picture in (b"PNG 1", b"PNG 2"):
            world.state.broadcast(JobEvent(job, 1, Preview("1", picture, "image/png")))
        return [await first_bytes(socket) for _ in range(3)]

    assert serve(tmp_path, work) == [
        struct.pack(">II", 1, 1) + b"JPEG 2",
        struct.pack(">II", 1, 2) + b"PNG 1",
        struct.pack(">II", 1, 2) + b"PNG 2",
    ]
