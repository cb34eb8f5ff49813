"""The sockets of clients: each with a queue of its own, so that a slow reader holds up nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from aiohttp import web

from engine.compat.wire import Message
from engine.foundation import json

MAX_WAITING = 50_000
MAX_MISSED = 200
MAX_CLIENTS = 2_000
CLOSED_TRY_AGAIN_LATER = 1013


@dataclass(eq=False, slots=True)
class Client:
    """A socket, and whose it is. `wants_metadata` chooses between the two forms of preview frames."""

    socket: web.WebSocketResponse
    id: str
    wants_metadata: bool = False
    _out: deque[tuple[str, str | bytes, int]] = field(default_factory=deque)
    _some: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, kind: str, frame: str | bytes, number: int = 0) -> None:
        """Queue a frame. A status or a preview that is still waiting is of no use once a newer one comes.

        After a frame with a `number` the client is asked to confirm it, by a ping that its answer repeats.
        """
        if self._out and kind in ("status", "preview") and self._out[-1][0] == kind:
            self._out.pop()
        self._out.append((kind, frame, number))
        self._some.set()

    async def deliver(self) -> None:
        """Send what is queued until the socket closes; a reader that is hopelessly behind is cut off."""
        with contextlib.suppress(ConnectionError):
            while not self.socket.closed:
                await self._some.wait()
                self._some.clear()
                if len(self._out) > MAX_WAITING:
                    await self.socket.close(code=CLOSED_TRY_AGAIN_LATER, message=b"too slow: connect again")
                    return
                unconfirmed = 0
                while self._out and not self.socket.closed:
                    _, frame, number = self._out.popleft()
                    await (self.socket.send_str(frame) if isinstance(frame, str) else self.socket.send_bytes(frame))
                    unconfirmed = number or unconfirmed
                if unconfirmed and not self.socket.closed:
                    await self.socket.ping(str(unconfirmed).encode())


class Hub:
    """All sockets by client id. Several may share an id, and all of them hear everything.

    A connection may be dead long before anybody notices, so final messages are kept until a socket has confirmed them.
    """

    def __init__(self) -> None:
        self._clients: dict[str, list[Client]] = {}
        self._missed: OrderedDict[str, deque[tuple[int, Message]]] = OrderedDict()
        self._numbers = count(1)

    def __len__(self) -> int:
        return sum(map(len, self._clients.values()))

    def join(self, client: Client) -> list[tuple[int, Message]]:
        """Add a socket. The final messages for its id that nobody has confirmed, with their numbers."""
        self._clients.setdefault(client.id, []).append(client)
        return list(self._missed.get(client.id, ()))

    def confirm(self, client: Client, number: int) -> None:
        """A socket has received the final messages up to a number."""
        missed = self._missed.get(client.id, deque())
        while missed and missed[0][0] <= number:
            missed.popleft()
        if not missed:
            self._missed.pop(client.id, None)

    def leave(self, client: Client) -> None:
        """Remove a socket."""
        others = self._clients.get(client.id, [])
        if client in others:
            others.remove(client)
        if not others:
            self._clients.pop(client.id, None)

    def send(self, message: Message, to: str | None, *, final: bool = False) -> None:
        """Send a message to the sockets of a client (None: nobody). A final one is kept until it is confirmed."""
        if to is None:
            return
        number = self._keep(to, message) if final else 0
        _send(self._clients.get(to, ()), message, number)

    def broadcast(self, message: Message) -> None:
        """Send a message to every socket."""
        _send(self.clients(), message)

    def clients(self, client_id: str | None = None) -> list[Client]:
        """The sockets of a client, or all (None)."""
        if client_id is not None:
            return list(self._clients.get(client_id, ()))
        return [client for clients in self._clients.values() for client in clients]

    async def close(self) -> None:
        """Close every socket."""
        closing = [client.socket.close(code=1001, message=b"the server ends") for client in self.clients()]
        await asyncio.gather(*closing, return_exceptions=True)

    def _keep(self, client_id: str, message: Message) -> int:
        number = next(self._numbers)
        self._missed.setdefault(client_id, deque(maxlen=MAX_MISSED)).append((number, message))
        self._missed.move_to_end(client_id)
        while len(self._missed) > MAX_CLIENTS:
            self._missed.popitem(last=False)
        return number


def _send(clients: Iterable[Client], message: Message, number: int = 0) -> None:
    clients = list(clients)
    if clients:
        kind, data = message
        frame = json.dumps({"type": kind, "data": data})
        for client in clients:
            client.send(kind, frame, number)
