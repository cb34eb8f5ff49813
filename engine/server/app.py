"""The application: its parts put together, its routes, its start and its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping

from aiohttp import web

from engine.foundation.logs import LogTail
from engine.foundation.settings import Settings
from engine.graph.spec import NodeSpec
from engine.jobs.committer import Committer
from engine.jobs.dispatcher import Dispatcher, Listener
from engine.jobs.executor import Executor
from engine.server.broadcast import Broadcast
from engine.server.config import ServerConfig
from engine.server.errors import Handler, errors_as_answers
from engine.server.gate import gate, guard
from engine.server.hub import Hub
from engine.server.limits import limits
from engine.server.metrics import Metrics
from engine.server.node_types import NodeTypes
from engine.server.numbers import Numbers
from engine.server.replay import Replay
from engine.server.routes import files, history, models, nodes, pages, queue, socket, system, templates, userdata, v1
from engine.server.state import STATE, State
from engine.store.folders import folders
from engine.store.listing import Listing

_FAMILIES = (queue, history, nodes, files, userdata, models, templates, system, socket)
_STALL_SECONDS = 0.25
_DECODERS = 2
_log = logging.getLogger(__name__)


def make_app(
    settings: Settings,
    config: ServerConfig,
    *,
    committer: Committer,
    executor: Executor,
    read_specs: Callable[[], Mapping[str, NodeSpec] | None],
    listeners: tuple[Listener, ...] = (),
    logs: LogTail | None = None,
) -> web.Application:
    """The application over a job store and an executor. `read_specs` gives the node types if they are known yet."""
    app = web.Application(
        middlewares=[errors_as_answers, gate(config), limits(config.max_upload_bytes)],
        client_max_size=config.max_upload_bytes,
        handler_args={"auto_decompress": False},  # also of a body that is refused: aiohttp reads it to its end
    )
    listing = Listing(folders(settings))
    dispatcher, hub = Dispatcher(committer, executor), Hub()
    state = State(
        settings=settings,
        config=config,
        folders=listing,
        nodes=NodeTypes(listing, read_specs),
        dispatcher=dispatcher,
        executor=executor,
        hub=hub,
        replay=Replay(),
        metrics=Metrics(executor),
        broadcast=Broadcast(hub),
        numbers=Numbers(),
        logs=logs or LogTail(),
        decoding=asyncio.Semaphore(_DECODERS),
    )
    dispatcher.listeners += [*listeners, state.replay, state.metrics, state.broadcast]
    app[STATE] = state
    _add_routes(app)
    app.on_response_prepare.append(guard(config))
    app.cleanup_ctx.append(_lifetime)
    return app


def _add_routes(app: web.Application) -> None:
    """Every route of the community's answers with and without `/api`; its job list only with it."""
    for method, path, handler in [route for family in _FAMILIES for route in family.ROUTES]:
        _add(app, method, path, handler)
        _add(app, method, f"/api{path}", handler)
    for method, path, handler in history.API_ROUTES:
        _add(app, method, f"/api{path}", handler)
    for method, path, handler in v1.ROUTES:
        _add(app, method, f"/api/v1{path}", handler)
    for method, path, handler in pages.ROUTES:
        _add(app, method, path, handler)


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    if method == "GET":
        app.router.add_get(path, handler)
    else:
        app.router.add_route(method, path, handler)


async def _lifetime(app: web.Application) -> AsyncIterator[None]:
    """Start the executor and the queue; at the end stop them, jobs that still run wait for the next start."""
    state = app[STATE]
    await state.executor.start()
    tasks = [asyncio.create_task(work) for work in (_begin(state), _refresh_nodes(state), _watch_loop())]
    try:
        yield
    finally:
        await state.dispatcher.drain(state.config.drain_seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await state.hub.close()
        await state.executor.stop()


async def _begin(state: State) -> None:
    """Open the queue. Requests are answered meanwhile; those that need it wait for its thread."""
    await state.dispatcher.start()
    state.numbers.begin(await state.dispatcher.look(lambda store: store.highest_number()))


async def _refresh_nodes(state: State) -> None:
    """When a worker has loaded the packs, their catalogue is there or may have changed."""
    while True:
        await state.executor.ready.wait()
        state.executor.ready.clear()
        await asyncio.to_thread(state.nodes.refresh)


async def _watch_loop() -> None:
    """Say when something held up the event loop: it should never."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(_STALL_SECONDS)
        late = time.monotonic() - before - _STALL_SECONDS
        if late > _STALL_SECONDS:
            _log.warning("the event loop stood still for %.0f ms", late * 1000)
