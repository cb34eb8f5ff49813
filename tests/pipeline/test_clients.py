"""Clients that know nothing of Easel, from the package registries, drive it unchanged."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from PIL import Image

from tests.pipeline.served import ROOT, Served, example_prompt, served

CLIENTS = ROOT / "tests" / "clients"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served"), "--preview-method", "latent2rgb") as running:
        yield running


def sink_title(prompt: dict[str, Any]) -> str:
    [title] = [node["_meta"]["title"] for node in prompt.values() if node["class_type"] == "SaveImage"]
    return str(title)


def test_a_python_client_draws_and_fetches_a_picture(server: Served, tmp_path: Path) -> None:
    prompt = example_prompt(seed=1)
    for node in prompt.values():
        node.setdefault("_meta", {}).setdefault("title", node["class_type"])
    (tmp_path / "prompt.json").write_text(json.dumps(prompt))
    client = ComfyApiWrapper(server.url)
    workflow = ComfyWorkflowWrapper(str(tmp_path / "prompt.json"))
    prompt_id, previews = asyncio.run(client.queue_prompt_and_wait(workflow))
    assert previews, "no preview frames came"
    history = client.get_history(prompt_id)[prompt_id]
    [shown] = [file for output in history["outputs"].values() for file in output["images"]]
    picture = Image.open(io.BytesIO(client.get_image(shown["filename"], shown["subfolder"], shown["type"])))
    assert picture.size == (512, 512)
    assert json.loads(picture.info["prompt"])["3"]["inputs"]["seed"] == 1
    assert client.get_queue() == {"queue_running": [], "queue_pending": []}
    assert "KSampler" in client.get_object_info()
    assert client.get_system_stats()["devices"][0]["type"] == "cpu"
    assert client.get_embeddings() == ["easel-demo-shield"]


def test_a_python_client_uploads_a_picture_and_paints_over_it(server: Served) -> None:
    client = ComfyApiWrapper(server.url)
    uploaded = client.upload_image(str(ROOT / "input" / "example.png"))
    name = f"{uploaded['subfolder']}/{uploaded['name']}"
    assert (server.base / "input" / name).read_bytes() == (ROOT / "input" / "example.png").read_bytes()
    prompt = example_prompt("image_to_image", seed=2)
    [loader] = [node for node in prompt.values() if node["class_type"] == "LoadImage"]
    loader["inputs"]["image"] = name
    [entry] = [server.ended(server.post("/prompt", {"prompt": prompt})["prompt_id"])]
    assert entry["status"]["status_str"] == "success", entry["status"]


def test_a_javascript_client_draws_and_fetches_a_picture(server: Served, tmp_path: Path) -> None:
    (tmp_path / "prompt.json").write_text(json.dumps(example_prompt(seed=3)))
    address = server.url.removeprefix("http://")
    script = [*("node", "drive.mjs", address), str(tmp_path / "prompt.json"), str(ROOT / "input" / "example.png")]
    done = subprocess.run(script, cwd=CLIENTS, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    assert seen["type"] == "image/png"
    assert seen["bytes"] > 500
    assert {"execution_start", "progress", "executing", "executed", "binary"} <= set(seen["seen"])
    assert seen["upload"] == {"name": "from-javascript.png", "subfolder": "", "type": "input"}
    assert seen["queue"] == {"queue_running": [], "queue_pending": []}
    assert seen["sampler"] == ["KSampler"]


def test_the_communitys_plain_script_works(server: Served) -> None:
    """No header but what the standard library sets, which says that the body is a form."""
    body = json.dumps({"prompt": example_prompt(seed=4), "client_id": "script"}).encode()
    request = urllib.request.Request(f"{server.url}/prompt", data=body)
    with urllib.request.urlopen(request, timeout=30) as answer:
        prompt_id = json.loads(answer.read())["prompt_id"]
    entry = server.ended(prompt_id)
    [shown] = [file for output in entry["outputs"].values() for file in output["images"]]
    query = f"filename={shown['filename']}&subfolder={shown['subfolder']}&type={shown['type']}"
    with urllib.request.urlopen(f"{server.url}/view?{query}", timeout=30) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert Image.open(io.BytesIO(answer.read())).size == (512, 512)


def test_what_did_not_change_is_not_drawn_again(server: Served) -> None:
    prompt = example_prompt(seed=5)
    first = server.ended(server.post("/prompt", {"prompt": prompt})["prompt_id"])
    again = server.ended(server.post("/prompt", {"prompt": prompt})["prompt_id"])
    cached = dict(again["status"]["messages"])["execution_cached"]["nodes"]
    assert sorted(cached) == sorted(prompt)
    assert again["outputs"] == first["outputs"]
    server.post("/free", {"free_memory": True})
    fresh = server.ended(server.post("/prompt", {"prompt": prompt})["prompt_id"])
    assert dict(fresh["status"]["messages"])["execution_cached"]["nodes"] == []


def test_previews_are_chosen_by_each_job(server: Served) -> None:
    async def frames(method: str) -> list[bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.url}/ws?clientId={method}") as socket,
        ):
            extra = {"preview_method": method}
            prompt = example_prompt(seed=6 if method == "none" else 7, steps=12)
            body = {"prompt": prompt, "client_id": method, "extra_data": extra}
            async with session.post(f"{server.url}/prompt", json=body) as answer:
                assert answer.status == 200
            pictures = []
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    pictures.append(message.data)
                elif '"node":null' in message.data:
                    return pictures
        return []

    assert asyncio.run(frames("none")) == []
    pictures = asyncio.run(frames("latent2rgb"))
    assert pictures
    assert Image.open(io.BytesIO(pictures[-1][8:])).format == "JPEG"


def test_a_worker_that_is_killed_costs_no_job(server: Served) -> None:
    job_id = server.post("/prompt", {"prompt": example_prompt(seed=8, steps=400)})["prompt_id"]
    while not server.get("/queue")["queue_running"]:
        pass
    [worker] = subprocess.run(
        ["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(worker), signal.SIGKILL)
    assert server.ended(job_id)["status"]["status_str"] == "success"
    attempts = server.get(f"/api/v1/jobs/{job_id}")["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["interrupted", "done"]
    assert list((server.base / "user" / "journals").glob("*.jsonl")) == []
