"""The server itself: `/system_stats`, `/features`, health, metrics, logs."""

from __future__ import annotations

from typing import Any

import psutil
from aiohttp import web

from engine.jobs.executor import WorkerInfo
from engine.server.answers import json_answer
from engine.server.config import ServerConfig
from engine.server.errors import Handler
from engine.server.state import state_of


async def get_system_stats(request: web.Request) -> web.StreamResponse:
    """The machine, the versions and the devices."""
    state = state_of(request)
    memory = psutil.virtual_memory()
    workers = state.executor.workers()
    torch = next((worker.about.get("torch") for worker in workers if worker.about), None)
    uses = ("results", "weights", "mapped", "pinned", "staging")
    ram = {use: sum(worker.memory.get(f"host_{use}", 0) for worker in workers) for use in uses}
    system = {"ram_total": memory.total, "ram_free": memory.available, "ram": ram, "pytorch_version": torch}
    devices = [_device(worker, number) for number, worker in enumerate(workers) if worker.about]
    return json_answer({"system": state.config.facts | system, "devices": devices})


async def get_features(request: web.Request) -> web.StreamResponse:
    """What this server can do."""
    return json_answer(features(state_of(request).config))


async def get_health(request: web.Request) -> web.StreamResponse:
    """Whether the process answers; it says nothing else, since it asks nobody who they are."""
    del request
    return json_answer({"status": "ok"})


async def get_readiness(request: web.Request) -> web.StreamResponse:
    """Whether a job that is sent now would run: 200 or 503."""
    state = state_of(request)
    workers = {worker.id: worker.state for worker in state.executor.workers()}
    ready = not state.dispatcher.draining and any(worker in ("idle", "busy") for worker in workers.values())
    data = {"ready": ready, "workers": workers, "node_types": state.nodes.known}
    return json_answer(data, 200 if ready else 503)


async def get_metrics(request: web.Request) -> web.StreamResponse:
    """Figures for Prometheus."""
    return web.Response(
        body=state_of(request).metrics.text(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def get_logs(request: web.Request) -> web.StreamResponse:
    """The latest log lines."""
    return json_answer("".join(f"{line}\n" for line in state_of(request).logs.lines()))


async def get_raw_logs(request: web.Request) -> web.StreamResponse:
    """The latest log lines as a list."""
    entries = [{"t": entry.time, "m": f"{entry.text}\n"} for entry in state_of(request).logs.entries()]
    return json_answer({"entries": entries, "size": {"cols": 80, "rows": 50}})


def features(config: ServerConfig) -> dict[str, Any]:
    """What this server can do, as the socket and `/features` tell it."""
    return {
        "supports_preview_metadata": True,
        "max_upload_size": config.max_upload_bytes,
        "extension": {"manager": {"supports_v4": True}},
    }


def _device(worker: WorkerInfo, number: int) -> dict[str, Any]:
    memory, index = worker.memory, worker.about.get("index")
    return {
        "name": worker.about.get("name", worker.id),
        "type": worker.about.get("type"),
        "index": number if index is None else index,
        "vram_total": memory.get("device_total", 0),
        "vram_free": memory.get("device_free", 0),
        "torch_vram_total": memory.get("torch_total", memory.get("device_total", 0)),
        "torch_vram_free": memory.get("torch_free", memory.get("device_free", 0)),
    }


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/system_stats", get_system_stats),
    ("GET", "/features", get_features),
    ("GET", "/healthz", get_health),
    ("GET", "/readyz", get_readiness),
    ("GET", "/metrics", get_metrics),
    ("GET", "/internal/logs", get_logs),
    ("GET", "/internal/logs/raw", get_raw_logs),
]
