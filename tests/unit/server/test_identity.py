"""Who hears what: ids that are not theirs take nothing away, and secrets are told to nobody."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from engine.server.config import ServerConfig
from tests.unit.server.world import World, is_over, messages_until, prompt, serve

TOKEN = "token-canary-" + "t" * 32
SECRET = "secret-canary-9d41b7"
CLOSED = ServerConfig(token=TOKEN)


def test_a_second_socket_with_a_victims_id_takes_nothing_away(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        victim, thief, other = [await world.socket(name) for name in ("victim", "victim", "other")]
        for _ in range(15):
            await world.queue(("Say", {}), client_id="victim")
        told = [[], [], []]
        for place, socket in enumerate((victim, thief)):
            for _ in range(15):
                told[place] += await messages_until(socket, is_over)
        await world.queue(("Say", {}), client_id="other")
        told[2] = await messages_until(other, is_over)
        return told

    victim, thief, other = serve(tmp_path, work)
    assert [message["type"] for message in victim].count("execution_success") == 15
    assert victim[1:] == thief[1:]
    jobs = {message["data"].get("prompt_id") for message in other} - {None}
    assert len(jobs) == 1  # of the victim's jobs it hears how many wait, and nothing else


@pytest.mark.parametrize("address", ["/ws", "/ws?clientId=victim", "/api/ws?token=wrong&clientId=victim"])
def test_without_the_token_nobody_hears_anything(tmp_path: Path, address: str) -> None:
    async def work(world: World) -> int:
        world.client.session.headers.pop("Authorization")
        with pytest.raises(WSServerHandshakeError) as refused:
            await world.client.session.ws_connect(world.client.make_url(address))
        return refused.value.status

    assert serve(tmp_path, work, config=CLOSED) == 401


def test_the_token_and_the_secrets_of_a_prompt_are_told_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    extra = {"auth_token_comfy_org": SECRET, "api_key_comfy_org": SECRET + "2", "client_id": "me"}
    pages = ("/history", "/queue", "/api/jobs", "/api/v1/jobs", "/api/v1/queue", "/internal/logs", "/internal/logs/raw")
    pages += ("/system_stats", "/metrics", "/features", "/settings", "/object_info", "/api/v1/openapi.json", "/none")

    async def work(world: World) -> list[str]:
        socket = await world.socket("me")
        done = await world.queue(("Say", {}), ("Save", {"name": "x.png"}), extra_data=extra)
        failed = await world.queue(("Fail", {}), extra_data=extra)
        told = [await messages_until(socket, is_over), await messages_until(socket, is_over)]
        waiting = await world.queue(("Steps", {"count": 100_000}), extra_data=extra)
        texts = [json.dumps(told)]
        bodies: list[Any] = [{"prompt": {}, "extra_data": extra}, {"prompt": prompt(("No", {})), "extra_data": extra}]
        bodies += [{"prompt": 5, "extra_data": extra}, {"prompt": prompt(("Say", {})), "extra_data": [extra]}]
        bodies += [{"prompt": prompt(("Say", {})), "extra_data": extra, "prompt_id": done}]
        for path in ("/prompt", "/api/v1/jobs"):
            texts += [await (await world.post(path, body)).text() for body in bodies]
        for job in (done, failed, waiting):
            pages_of_job = (f"/history/{job}", f"/api/jobs/{job}", f"/api/v1/jobs/{job}", f"/api/v1/jobs/{job}/events")
            texts += [await (await world.client.get(page)).text() for page in pages_of_job]
        texts += [await (await world.client.get(page)).text() for page in pages]
        await world.post("/interrupt")
        async with asyncio.timeout(30):
            await messages_until(socket, is_over)
        return texts

    texts = serve(tmp_path, work, config=CLOSED)
    assert any('"done"' in text or "success" in text for text in texts)
    assert [text[:200] for text in texts if SECRET in text or TOKEN in text] == []
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    assert [path.name for path in kept if path.suffix == ".png" and SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in repr(CLOSED)
    assert TOKEN not in repr(CLOSED)
