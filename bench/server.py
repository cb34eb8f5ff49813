"""The server with a real worker over HTTP: start, tiny prompts, round trips, and a graph of 5,000 nodes."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).resolve().parents[1]
PROMPTS, ROUND_TRIPS, NODES = 200, 200, 5_000
PACK = '''
from engine.node import node

@node("BenchSum")
def add(a: int = 0, b: int = 0) -> int:
    """A node that does next to nothing."""
    return a + b

@node("BenchEnd", sink=True)
def end(result: int) -> None:
    """The target."""
'''


def measure() -> Iterator[str]:
    """A line for each figure, with its limit."""
    yield "server: over HTTP, with the queue on disk; wall-clock seconds unless it says CPU"
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        pack = base / "custom_nodes" / "bench_pack.py"
        pack.parent.mkdir()
        pack.write_text(PACK, "utf-8")
        with _server(base) as (url, _):
            asyncio.run(_ready(url))  # the first start of all: the catalogue is made
        with _server(base) as (url, seconds):
            yield f"{'start to first answer, s':44}{seconds:10.2f}   (limit 1)"
            asyncio.run(_ready(url))
            yield from asyncio.run(_figures(url))


@contextmanager
def _server(base: Path) -> Iterator[tuple[str, float]]:
    """A server over `base`: its address, and how long it took to answer."""
    began = time.monotonic()
    command = [sys.executable, str(ROOT / "main.py"), "--base-directory", str(base), "--port", "0", "--cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, text=True, env=environment, **pipes)  # type: ignore[call-overload]
    try:
        found = re.search(r"http://[^/\s]+", process.stdout.readline())
        assert found is not None
        asyncio.run(_get(f"{found[0]}/healthz"))
        yield found[0], time.monotonic() - began
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def _figures(url: str) -> list[str]:
    async with aiohttp.ClientSession(url) as session, session.ws_connect("/ws?clientId=bench") as socket:
        worker = _worker_of(session, url)
        accepted, done = await _at_once(session, socket)
        trips = [await _round_trip(session, socket, number) for number in range(ROUND_TRIPS)]
        submit, run, cpu, sent = await _large(session, socket, worker)
    return [
        f"{f'{PROMPTS} prompts at once, accepted a second':44}{accepted:10.0f}   (limit 500)",
        f"{f'{PROMPTS} prompts at once, done a second':44}{done:10.0f}",
        f"{'round trip of 3 nodes, median ms':44}{statistics.median(trips) * 1000:10.1f}   (limit 5)",
        f"{f'{NODES} nodes: submit, s':44}{submit:10.2f}   (limit 2)",
        f"{f'{NODES} nodes: run, s':44}{run:10.2f}",
        f"{f'{NODES} nodes: CPU of the worker a node, us':44}{cpu / NODES * 1e6:10.0f}",
        f"{f'{NODES} nodes: bytes of messages a node':44}{sent / NODES:10.0f}",
    ]


def _worker_of(_session: aiohttp.ClientSession, url: str) -> psutil.Process:
    port = int(url.rpartition(":")[2])
    [server] = [
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
    ]
    return psutil.Process(server).children()[0]


async def _at_once(session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> tuple[float, float]:
    """Prompts a second that were accepted, and that were done, of `PROMPTS` posted at once."""
    began = time.monotonic()
    await asyncio.gather(*(_post(session, _chain(3, seed)) for seed in range(PROMPTS)))
    accepted = time.monotonic() - began
    ended = 0
    while ended < PROMPTS:
        ended += _is_over(await socket.receive_json())
    return PROMPTS / accepted, PROMPTS / (time.monotonic() - began)


async def _round_trip(session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, number: int) -> float:
    began = time.monotonic()
    await _post(session, _chain(3, 1_000_000 + number))
    while not _is_over(await socket.receive_json()):
        pass
    return time.monotonic() - began


async def _large(
    session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, worker: psutil.Process
) -> tuple[float, float, float, int]:
    """Seconds to submit and to run, CPU seconds of the worker, and bytes of messages, of a graph of `NODES`."""
    began, used = time.monotonic(), sum(worker.cpu_times()[:2])
    await _post(session, _chain(NODES, 0))
    submitted = time.monotonic()
    sent = 0
    while True:
        text = await socket.receive_str()
        sent += len(text)
        if '"executing"' in text and '"node":null' in text:
            break
    return submitted - began, time.monotonic() - submitted, sum(worker.cpu_times()[:2]) - used, sent


def _chain(nodes: int, seed: int) -> dict[str, Any]:
    chain: dict[str, Any] = {"0": {"class_type": "BenchSum", "inputs": {"a": seed, "b": nodes}}}
    for number in range(1, nodes - 1):
        chain[str(number)] = {"class_type": "BenchSum", "inputs": {"a": [str(number - 1), 0], "b": 1}}
    chain["end"] = {"class_type": "BenchEnd", "inputs": {"result": [str(nodes - 2), 0]}}
    return chain


async def _post(session: aiohttp.ClientSession, prompt: dict[str, Any]) -> None:
    async with session.post("/prompt", json={"prompt": prompt, "client_id": "bench"}) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


def _is_over(message: dict[str, Any]) -> bool:
    return message["type"] == "executing" and message["data"]["node"] is None


async def _ready(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        while True:
            async with session.get("/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.05)


async def _get(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()
