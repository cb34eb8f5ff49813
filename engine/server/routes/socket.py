"""The socket that clients listen on: `/ws?clientId=ID`."""

from __future__ import annotations

import asyncio
import logging
from uuid import uuid4

from aiohttp import WSMsgType, web

from engine.compat import wire
from engine.compat.wire import Message
from engine.foundation import json
from engine.server.errors import Handler
from engine.server.hub import Client
from engine.server.routes.system import features
from engine.server.state import State, state_of

HEARTBEAT_SECONDS = 30.0
MAX_MESSAGE = 2**20
MAX_ID = 200
_log = logging.getLogger(__name__)


async def listen(request: web.Request) -> web.StreamResponse:
    """Tell a client how things are, then everything that concerns it until it goes."""
    state = state_of(request)
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE, compress=False, autoping=False
    )
    await socket.prepare(request)
    client = Client(socket, request.query.get("clientId", "")[:MAX_ID] or uuid4().hex)
    missed = state.hub.join(client)
    for number, (kind, data) in _greeting(state, client, missed):
        client.send(kind, json.dumps({"type": kind, "data": data}), number)
    delivery = asyncio.create_task(client.deliver())
    try:
        first = True
        async for message in socket:
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                if message.data.isdigit():
                    state.hub.confirm(client, int(message.data))
            else:
                if first and message.type is WSMsgType.TEXT:
                    _negotiate(state, client, message.data)
                first = False
    finally:
        state.hub.leave(client)
        delivery.cancel()
    return socket


def _greeting(state: State, client: Client, missed: list[tuple[int, Message]]) -> list[tuple[int, Message]]:
    """The status, what ended while the client was away, and the node at work if a job of its runs."""
    messages = [(0, wire.status(state.broadcast.remaining or 0, client.id)), *missed]
    running, node = state.broadcast.running_node(client.id)
    if running and node is not None:
        messages.append((0, ("executing", {"node": node})))
    return messages


def _negotiate(state: State, client: Client, text: str) -> None:
    """The first message may say what the client understands; anything else is ignored."""
    try:
        message = json.parse(text)
    except json.JsonError as error:
        _log.info("a client sent no JSON: %s", error)
        return
    if isinstance(message, dict) and message.get("type") == "feature_flags" and isinstance(message.get("data"), dict):
        client.wants_metadata = bool(message["data"].get("supports_preview_metadata"))
        reply = {"type": "feature_flags", "data": features(state.config)}
        client.send("feature_flags", json.dumps(reply))


ROUTES: list[tuple[str, str, Handler]] = [("GET", "/ws", listen)]
