"""POST /prompt: what it answers, and what it makes of malformed bodies."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.world import World, prompt, serve

SAY = {"1": {"class_type": "Say", "inputs": {}}}


def answers(tmp_path: Path, *bodies: Any, **options: Any) -> list[tuple[int, Any]]:
    """Status and JSON of each body posted to /prompt; bytes are posted as they are."""

    async def work(world: World) -> list[tuple[int, Any]]:
        found = []
        for body in bodies:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await world.client.post("/prompt", data=data, headers={"Content-Type": "application/json"})
            found.append((answer.status, await answer.json()))
        return found

    result: list[tuple[int, Any]] = serve(tmp_path, work, **options)
    return result


def test_a_prompt_is_numbered_and_queued(tmp_path: Path) -> None:
    first, second, front, own = answers(
        tmp_path, {"prompt": SAY}, {"prompt": SAY}, {"prompt": SAY, "front": True}, {"prompt": SAY, "number": -7}
    )
    assert first[0] == 200
    assert sorted(first[1]) == ["node_errors", "number", "prompt_id"]
    assert [entry[1]["number"] for entry in (first, second, front, own)] == [0, 1, -2, -7.0]
    assert second[1]["node_errors"] == {}


def test_a_prompt_that_fails_validation_takes_a_number_too(tmp_path: Path) -> None:
    bad, good = answers(tmp_path, {"prompt": {}}, {"prompt": SAY})
    assert bad[0] == 400
    assert good[1]["number"] == 1


def test_the_same_id_and_graph_is_the_same_job_and_another_graph_is_a_conflict(tmp_path: Path) -> None:
    other = prompt(("Say", {}), ("Say", {}))
    first, again, conflict = answers(tmp_path, *({"prompt": graph, "prompt_id": "mine"} for graph in (SAY, SAY, other)))
    assert first[1]["prompt_id"] == again[1]["prompt_id"] == "mine"
    assert first[1]["number"] == again[1]["number"]
    assert conflict[0] == 409
    assert conflict[1]["error"]["type"] == "job_id_in_use"


def test_a_full_queue_answers_429_and_when_to_come_again(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        await world.queue(("Steps", {"count": 100_000}))
        while world.state.broadcast.running_node("x")[0] is False and not world.state.dispatcher.runs:
            await asyncio.sleep(0.01)
        await world.queue(("Say", {}))
        return await world.post("/prompt", {"prompt": SAY})

    answer = serve(tmp_path, work, max_waiting=1)
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        (b"{not json", "invalid_json", ""),
        (b"[]", "bad_request", "$"),
        (b"null", "bad_request", "$"),
        (b"\xff\xfe", "invalid_json", ""),
        (b"[" * 100_000, "invalid_json", ""),
        (b'{"prompt":' + b'{"a":' * 90 + b"1" + b"}" * 91, "invalid_json", ""),
        (b'{"prompt":{"1":1,"1":2}}', "invalid_json", ""),
        (b'{"prompt":{"1":{"class_type":"Say","inputs":{"a":NaN}}}}', "invalid_json", ""),
        ({}, "no_prompt", ""),
        ({"prompt": None}, "bad_request", "$.prompt"),
        ({"prompt": 5}, "bad_request", "$.prompt"),
        ({"prompt": [SAY]}, "bad_request", "$.prompt"),
        ({"prompt": {"1": 5}}, "invalid_prompt", "$"),
        ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt", "class_type"),
        ({"prompt": {"1": {"class_type": "Say"}}}, "invalid_prompt", "inputs"),
        ({"prompt": {"1": {"class_type": 7, "inputs": {}}}}, "invalid_prompt", "class_type"),
        ({"prompt": {"1": {"class_type": "Say", "inputs": []}}}, "invalid_prompt", "inputs"),
        ({"prompt": SAY, "number": "first"}, "bad_request", "$.number"),
        ({"prompt": SAY, "number": True}, "bad_request", "$.number"),
        ({"prompt": SAY, "client_id": ["a"]}, "bad_request", "$.client_id"),
        ({"prompt": SAY, "extra_data": []}, "bad_request", "$.extra_data"),
        ({"prompt": SAY, "extra_data": {"client_id": 5}}, "bad_request", "$.client_id"),
        ({"prompt": SAY, "prompt_id": 5}, "bad_request", "$.prompt_id"),
        ({"prompt": SAY, "prompt_id": "x" * 201}, "bad_request", "$.prompt_id"),
        ({"prompt": SAY, "partial_execution_targets": "1"}, "bad_request", "$.partial"),
        ({"prompt": SAY, "partial_execution_targets": [1]}, "bad_request", "$.partial"),
        ({"prompt": SAY, "priority": 2**40}, "bad_request", "$.priority"),
        ({"prompt": {}}, "prompt_no_outputs", ""),
        ({"prompt": SAY, "partial_execution_targets": ["9"]}, "prompt_no_outputs", ""),
    ],
)
def test_malformed_bodies_are_told_what_is_wrong_and_where(tmp_path: Path, body: Any, code: str, place: str) -> None:
    refused, good = answers(tmp_path, body, {"prompt": SAY})
    assert refused[0] == 400
    assert refused[1]["error"]["type"] == code
    assert place in json.dumps(refused[1])
    assert good[0] == 200


def test_an_unknown_type_is_told_as_clients_know_it(tmp_path: Path) -> None:
    [(status, body)] = answers(tmp_path, {"prompt": prompt(("Sayy", {}))})
    assert status == 400
    assert body["node_errors"] == {}
    assert body["error"]["type"] == "invalid_prompt"
    assert body["error"]["message"] == "Cannot execute because node Sayy does not exist."
    assert body["error"]["details"] == "Node ID '#1'"
    assert "Say" in body["error"]["extra_info"]["hint"]


def test_literals_are_converted_and_written_back(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        job_id = await world.queue(("Steps", {"count": "4", "undeclared": 1}))
        return await world.ended(job_id)

    entry = serve(tmp_path, work)
    assert entry["prompt"][2]["1"]["inputs"] == {"count": 4, "undeclared": 1}


def test_one_broken_output_leaves_the_others_running(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        graph = prompt(("Say", {}), ("Steps", {"count": -1}))
        answer = await (await world.post("/prompt", {"prompt": graph})).json()
        return answer, await world.ended(answer["prompt_id"])

    answer, entry = serve(tmp_path, work)
    assert list(answer["node_errors"]) == ["2"]
    [error] = answer["node_errors"]["2"]["errors"]
    assert error["type"] == "value_smaller_than_min"
    assert error["extra_info"]["input_name"] == "count"
    assert error["extra_info"]["input_config"][0] == "INT"
    assert answer["node_errors"]["2"]["dependent_outputs"] == ["2"]
    assert entry["prompt"][4] == ["1"]


def test_faults_upstream_name_the_outputs_that_suffer(tmp_path: Path) -> None:
    graph = {
        "a": {"class_type": "Use", "inputs": {"thing": ["b", 5], "number": 1}},
        "b": {"class_type": "Make", "inputs": {}},
        "c": {"class_type": "Use", "inputs": {"thing": ["zzz", 0], "number": "x"}},
    }
    [(status, body)] = answers(tmp_path, {"prompt": graph})
    assert status == 400
    assert body["error"]["type"] == "prompt_outputs_failed_validation"
    assert [error["type"] for error in body["node_errors"]["a"]["errors"]] == ["bad_output_slot"]
    assert [error["type"] for error in body["node_errors"]["c"]["errors"]] == [
        "missing_link_source",
        "invalid_input_type",
    ]
    assert "Traceback" not in json.dumps(body)


def test_a_circle_is_an_error_that_lists_its_nodes(tmp_path: Path) -> None:
    graph = {
        "a": {"class_type": "Use", "inputs": {"thing": ["b", 0]}},
        "b": {"class_type": "Loop", "inputs": {"thing": ["c", 0]}},
        "c": {"class_type": "Loop", "inputs": {"thing": ["b", 0]}},
    }
    from engine.graph.spec import InputSpec, NodeSpec, OutputSpec
    from tests.unit.server.world import SPECS

    loop = NodeSpec(id="Loop", inputs=(InputSpec("thing", "THING"),), outputs=(OutputSpec("THING", "THING"),))
    [(status, body)] = answers(tmp_path, {"prompt": graph}, specs=lambda: SPECS | {"Loop": loop})
    assert status == 400
    assert body["error"]["type"] == "graph_cycle"
    assert set(body["error"]["extra_info"]["nodes"]) == {"b", "c"}


def test_validators_of_nodes_are_asked_before_the_answer(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        while not world.state.executor.workers()[0].about:
            await asyncio.sleep(0.01)
        return await (await world.post("/prompt", {"prompt": prompt(("Picky", {}))})).json()

    body = serve(tmp_path, work)
    assert body["node_errors"]["1"]["errors"][0]["type"] == "custom_validation_failed"


def test_secrets_reach_no_answer(tmp_path: Path) -> None:
    secret = "sk-canary-4711"

    async def work(world: World) -> Any:
        extra = {"api_key_comfy_org": secret, "auth_token_comfy_org": secret, "mine": 1}
        waiting = await world.queue(("Steps", {"count": 30}), extra_data=extra)
        texts = [await (await world.client.get(path)).text() for path in ("/queue", f"/api/v1/jobs/{waiting}")]
        entry = await world.ended(waiting)
        texts += [await (await world.client.get(path)).text() for path in ("/history", f"/api/jobs/{waiting}")]
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob("jobs.sqlite3"))
        return texts, entry, stored

    texts, entry, _ = serve(tmp_path, work)
    assert entry["prompt"][3]["mine"] == 1
    assert secret not in "".join(texts)


def test_a_deep_and_a_wide_graph_are_taken(tmp_path: Path) -> None:
    from engine.graph.spec import InputSpec, NodeSpec, OutputSpec
    from tests.unit.server.world import SPECS

    link = NodeSpec(id="Pass", inputs=(InputSpec("thing", "THING"),), outputs=(OutputSpec("THING", "THING"),))
    deep: dict[str, Any] = {"0": {"class_type": "Make", "inputs": {}}}
    for number in range(1, 5000):
        deep[str(number)] = {"class_type": "Pass", "inputs": {"thing": [str(number - 1), 0]}}
    deep["end"] = {"class_type": "Use", "inputs": {"thing": ["4999", 0], "number": 1}}
    [(status, _)] = answers(tmp_path, {"prompt": deep}, specs=lambda: SPECS | {"Pass": link})
    assert status == 200
