"""A whole server over toy workers, on a port of its own, and a client that speaks to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from engine.foundation.settings import settings_under
from engine.jobs.child import Limits
from engine.jobs.children import ChildExecutor
from engine.jobs.committer import Committer
from engine.server.app import make_app
from engine.server.config import ServerConfig
from engine.server.state import STATE, State
from tests.unit.jobs.making import toy_executor
from tests.unit.jobs.toy_specs import SPECS

FACTS = {"comfyui_version": "0.8.0", "argv": ["main.py"]}


@dataclass
class World:
    """A server that runs, and ways to speak to it."""

    client: TestClient[Any, Any]
    state: State

    async def post(self, path: str, body: Any = None, **options: Any) -> ClientResponse:
        return await self.client.post(path, json={} if body is None else body, **options)

    async def get_json(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(path)
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)

    async def queue(self, *nodes: tuple[str, dict[str, Any]], **more: Any) -> str:
        """Queue a prompt of toy nodes; its id."""
        answer = await self.post("/prompt", {"prompt": prompt(*nodes)} | more)
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["prompt_id"])

    async def ended(self, job_id: str, seconds: float = 30) -> dict[str, Any]:
        """The history's entry of a job, once it has ended."""

        async def wait() -> dict[str, Any]:
            while not (found := await self.get_json(f"/history/{job_id}")):
                await asyncio.sleep(0.01)
            entry: dict[str, Any] = found[job_id]
            return entry

        return await asyncio.wait_for(wait(), seconds)

    async def socket(self, client_id: str, path: str = "/ws") -> ClientWebSocketResponse:
        return await self.client.ws_connect(f"{path}?clientId={client_id}")


def prompt(*nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {str(i): {"class_type": t, "inputs": inputs} for i, (t, inputs) in enumerate(nodes, 1)}


async def messages_until(socket: ClientWebSocketResponse, last: Callable[[dict[str, Any]], bool]) -> list[Any]:
    """The text messages (and the bytes of binary ones) up to the one that is the `last`."""
    seen: list[Any] = []
    while True:
        message = await asyncio.wait_for(socket.receive(), 30)
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
        if message.type is WSMsgType.BINARY:
            seen.append(message.data)
            continue
        data = json.loads(message.data)
        seen.append(data)
        if last(data):
            return seen


def is_over(message: dict[str, Any]) -> bool:
    """The last message of a prompt."""
    return message["type"] == "executing" and message["data"]["node"] is None


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    config: ServerConfig | None = None,
    executor: ChildExecutor | None = None,
    specs: Callable[[], Any] = lambda: SPECS,
    **store: Any,
) -> AsyncIterator[World]:
    """A server over `folder` with one toy worker."""
    settings = settings_under(folder)
    for place in (settings.input, settings.output, settings.temp, settings.user, settings.models):
        place.mkdir(parents=True, exist_ok=True)
    config = replace(config or ServerConfig(), facts=FACTS, drain_seconds=0.0)
    committer = Committer(settings.user / "jobs.sqlite3", **store)
    executor = executor or toy_executor(limits=Limits(silence=3.0))
    app = make_app(settings, config, committer=committer, executor=executor, read_specs=specs)
    headers = {"Authorization": f"Bearer {config.token}"} if config.token else {}
    try:
        async with TestClient(TestServer(app), headers=headers) as client:
            yield World(client, app[STATE])
    finally:
        committer.close()


def serve(folder: Path, work: Callable[[World], Awaitable[Any]], **options: Any) -> Any:
    """Run `work` against a server over `folder`."""

    async def whole() -> Any:
        async with serving(folder, **options) as world:
            return await work(world)

    return asyncio.run(whole())
