"""What the routes work with, under one typed key of the application."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from engine.foundation.logs import LogTail
from engine.foundation.settings import Settings
from engine.jobs.dispatcher import Dispatcher
from engine.jobs.executor import Executor
from engine.server.broadcast import Broadcast
from engine.server.config import ServerConfig
from engine.server.hub import Hub
from engine.server.metrics import Metrics
from engine.server.node_types import NodeTypes
from engine.server.numbers import Numbers
from engine.server.replay import Replay
from engine.store.listing import Listing


@dataclass(frozen=True, slots=True)
class State:
    """The parts of a running server."""

    settings: Settings
    config: ServerConfig
    folders: Listing
    nodes: NodeTypes
    dispatcher: Dispatcher
    executor: Executor
    hub: Hub
    replay: Replay
    metrics: Metrics
    broadcast: Broadcast
    numbers: Numbers
    logs: LogTail
    decoding: asyncio.Semaphore
    """Held while large pictures are decoded, which takes much memory."""


STATE = web.AppKey("state", State)


def state_of(request: web.Request) -> State:
    """The state of the application that a request came to."""
    return request.app[STATE]
