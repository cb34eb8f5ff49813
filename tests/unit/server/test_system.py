"""What the server says of itself and of its node types; its own API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from engine.compat import object_info
from engine.server import node_types
from engine.server.config import ServerConfig
from tests.unit.server.test_control import LONG, running
from tests.unit.server.world import SPECS, World, serve


def test_node_types_are_described_once_and_again_when_a_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = object_info.describe
    monkeypatch.setattr(node_types, "describe", lambda spec, files: (calls.append(spec.id), real(spec, files))[1])

    async def work(world: World) -> Any:
        texts = [await world.get_json(path) for path in ("/object_info", "/api/object_info", "/object_info/Say")]
        return texts, len(calls), await world.get_json("/object_info/Nothing")

    (first, again, one), count, nothing = serve(tmp_path, work)
    assert first == again
    assert set(first) == set(SPECS)
    assert one == {"Say": first["Say"]}
    assert count == len(SPECS)
    assert nothing == {}


def test_on_the_first_start_of_all_prompts_wait_for_the_node_types(tmp_path: Path) -> None:
    known: dict[str, Any] = {}

    async def work(world: World) -> Any:
        waiting = asyncio.create_task(world.queue(("Say", {})))
        health = await world.get_json("/healthz")
        assert not waiting.done()
        known.update(SPECS)
        return health, await world.ended(await waiting)

    health, entry = serve(tmp_path, work, specs=lambda: known or None)
    assert health == {"status": "ok"}
    assert entry["status"]["completed"]


def test_the_server_tells_of_its_machine_and_features(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        return [await world.get_json(path) for path in ("/system_stats", "/features", "/internal/logs/raw")]

    stats, features, logs = serve(tmp_path, work)
    assert {"ram_total", "ram_free", "pytorch_version", "comfyui_version", "argv"} <= set(stats["system"])
    assert 0 < stats["system"]["ram_free"] <= stats["system"]["ram_total"]
    assert set(stats["system"]["ram"]) == {"results", "weights", "mapped", "pinned", "staging"}
    assert features["max_upload_size"] == 100 * 2**20
    assert logs["entries"] == []


def test_metrics_count_jobs_nodes_and_workers(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        for node in ("Say", "Fail"):
            await world.ended(await world.queue((node, {})))
        return await (await world.client.get("/metrics")).text()

    text = serve(tmp_path, work)
    for line in (
        'easel_jobs_total{state="done"} 1.0',
        'easel_jobs_total{state="failed"} 1.0',
        "easel_cache_misses_total 2.0",
        'easel_node_seconds_count{type="Say"} 1.0',
        'easel_worker_state{state="idle",worker="toy"} 1.0',
    ):
        assert line in text


def test_readiness_follows_the_worker(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        while (answer := await world.client.get("/readyz")).status != 200:
            await asyncio.sleep(0.01)
        return await answer.json()

    assert serve(tmp_path, work) == {"ready": True, "workers": {"toy": "idle"}, "node_types": True}


def test_examples_are_listed_and_handed_out_and_nothing_else_is(tmp_path: Path) -> None:
    examples = Path(__file__).resolve().parents[3] / "workflows"

    async def work(world: World) -> Any:
        listed = await world.get_json("/api/workflow_templates")
        one = await world.get_json("/api/workflow_templates/easel/text_to_image.json")
        paths = ("easel/none.json", "other/text_to_image.json", "easel/..%2Fmain.py", "easel/..%2F..%2Fetc%2Fhostname")
        bad = [(await world.client.get(f"/workflow_templates/{path}")).status for path in paths]
        return listed, one, bad

    listed, one, bad = serve(tmp_path, work, config=ServerConfig(templates=examples))
    assert "text_to_image" in listed["easel"]
    assert one["nodes"]
    assert bad == [404, 404, 400, 400]


def test_the_page_without_an_editor_says_what_there_is(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        answer = await world.client.get("/")
        return answer.headers, await answer.text(), (await world.client.get("/assets/x.js")).status

    headers, text, status = serve(tmp_path, work)
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Easel is running" in text
    assert status == 404


def test_a_job_goes_its_way_through_our_own_api(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        body = {"prompt": {"1": {"class_type": "Save", "inputs": {"name": "x.png"}}}, "priority": 3}
        answer = await world.post("/api/v1/jobs", body)
        made = await answer.json()
        await world.ended(made["id"])
        job = await world.get_json(f"/api/v1/jobs/{made['id']}")
        (tmp_path / "output" / "x.png").write_bytes(b"PNG")
        picture = await world.client.get(f"/api/v1/jobs/{made['id']}/files/0")
        page = await world.get_json("/api/v1/jobs?state=done&limit=5")
        deleted = await world.client.delete(f"/api/v1/jobs/{made['id']}")
        gone = await world.client.get(f"/api/v1/jobs/{made['id']}")
        return answer, job, await picture.read(), page, deleted.status, gone

    answer, job, picture, page, deleted, gone = serve(tmp_path, work)
    assert answer.status == 201
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["state"], job["priority"], job["attempt"]) == ("done", 3, 1)
    assert job["files"][0]["filename"] == "x.png"
    assert picture == b"PNG"
    assert page["total"] == 1
    assert (deleted, gone.status) == (204, 404)
    assert gone.content_type == "application/problem+json"


def test_jobs_are_paused_reordered_cancelled_and_retried(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        assert (await (await world.post("/api/v1/queue/pause")).json())["paused"]
        ids = [await world.queue(("Fail", {})) for _ in range(3)]
        order = await (await world.post("/api/v1/queue/order", {"ids": [ids[2], ids[0]]})).json()
        cancelled = await (await world.post(f"/api/v1/jobs/{ids[1]}/cancel")).json()
        await world.post("/api/v1/queue/resume")
        await world.ended(ids[0])
        again = await world.post(f"/api/v1/jobs/{ids[0]}/retry")
        while (job := await world.get_json(f"/api/v1/jobs/{ids[0]}"))["attempt"] != 2 or job["state"] != "failed":
            await asyncio.sleep(0.01)
        conflict = await world.post(f"/api/v1/jobs/{ids[0]}/cancel")
        return ids, [entry["id"] for entry in order["waiting"]], cancelled["state"], again.status, conflict.status

    ids, order, cancelled, again, conflict = serve(tmp_path, work)
    assert order == [ids[2], ids[1], ids[0]]
    assert (cancelled, again, conflict) == ("cancelled", 202, 202)


def test_events_are_numbered_and_read_on_from_a_number(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        job_id = await world.queue(("Steps", {"count": 20}), ("Say", {}))
        path = f"/api/v1/jobs/{job_id}/events"
        async with world.client.ws_connect(path) as socket:
            live = [json.loads(message.data) async for message in socket]
        page = await world.get_json(path)
        middle = live[len(live) // 2]["number"]
        return live, page, await world.get_json(f"{path}?after={middle}"), middle

    live, page, rest, middle = serve(tmp_path, work)
    numbers = [event["number"] for event in live]
    assert numbers == sorted(set(numbers))
    assert live[-1]["event"] == "Ended"
    assert page == {"events": live, "complete": True, "ended": True}
    assert rest["events"] == [event for event in live if event["number"] > middle]


def test_a_running_job_is_cancelled_by_its_id_and_events_can_be_waited_for(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        job_id = await world.queue(LONG)
        await running(world, job_id)
        page = await world.get_json(f"/api/v1/jobs/{job_id}/events")
        last = page["events"][-1]["number"]
        waiting = asyncio.create_task(world.get_json(f"/api/v1/jobs/{job_id}/events?after={last}&wait=20"))
        await world.post(f"/api/v1/jobs/{job_id}/cancel")
        entry = await world.ended(job_id)
        return entry["status"]["messages"][-1][0], (await waiting)["events"]

    last, events = serve(tmp_path, work)
    assert last == "execution_interrupted"
    assert events


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/jobs/none", None, 404),
        ("GET", "/api/v1/jobs/none/events", None, 404),
        ("GET", "/api/v1/jobs/none/files/0", None, 404),
        ("POST", "/api/v1/jobs/none/cancel", {}, 404),
        ("POST", "/api/v1/jobs/none/retry", {}, 404),
        ("DELETE", "/api/v1/jobs/none", None, 404),
        ("GET", "/api/v1/jobs?state=odd", None, 400),
        ("GET", "/api/v1/jobs?limit=-1", None, 400),
        ("POST", "/api/v1/jobs", {"prompt": {}}, 422),
        ("POST", "/api/v1/jobs", {"prompt": 5}, 400),
        ("POST", "/api/v1/queue/order", {"ids": ["none"]}, 409),
        ("POST", "/api/v1/queue/order", {"ids": []}, 400),
        ("GET", "/api/v1/node_types/None", None, 404),
        ("GET", "/api/v1/models/none", None, 404),
        ("PUT", "/api/v1/jobs", {}, 405),
        ("GET", "/api/v1/none", None, 404),
    ],
)
def test_problems_are_told_as_rfc_9457_says(tmp_path: Path, method: str, path: str, body: Any, status: int) -> None:
    async def work(world: World) -> Any:
        answer = await world.client.request(method, path, json=body)
        return answer.status, answer.content_type, await answer.json(content_type=None)

    found, kind, problem = serve(tmp_path, work)
    assert (found, kind) == (status, "application/problem+json")
    assert problem["status"] == status
    assert {"type", "title", "detail", "code"} <= set(problem)


def test_the_description_names_routes_that_exist(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        document = await world.get_json("/api/v1/openapi.json")
        app = world.client.server.app  # type: ignore[attr-defined]
        known = {(route.method, route.resource.canonical) for route in app.router.routes()}
        return document, known

    document, known = serve(tmp_path, work)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described <= known
    ours = {(method, path) for method, path in known if path.startswith("/api/v1/") and method != "HEAD"}
    assert ours <= described
