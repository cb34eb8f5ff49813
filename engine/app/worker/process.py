"""The life of a worker process: it takes its standard streams, loads what it needs, and works until told to end."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from engine.app.worker.link import Link
from engine.foundation.settings import settings_from_json
from engine.jobs import frames

_IDLE = 1.0  # seconds without an order, after which there is time to prepare for those that will come
_SIGKILL = 9
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> int:
    """Work until the server says stop or is gone."""
    _die_with_parent()
    faulthandler.enable()
    commands, link = sys.stdin.buffer, Link(_take_output())
    hello = frames.read(commands)
    if hello is None:
        return 0
    link.start()

    from engine.app.worker.work import Worker  # torch is imported here, while the link beats already

    worker = Worker(settings_from_json(hello[0]["settings"]), hello[0]["preview_method"], link)
    link.memory = worker.memory
    orders: SimpleQueue[tuple[dict[str, Any], bytes] | None] = SimpleQueue()
    Thread(target=_listen, args=(commands, link, worker, orders), name="commands", daemon=True).start()
    worker.load()
    order = _first(orders, worker)
    while order is not None:
        worker.obey(*order)
        order = orders.get()
    return 0


def _first(
    orders: SimpleQueue[tuple[dict[str, Any], bytes] | None], worker: Any
) -> tuple[dict[str, Any], bytes] | None:
    """The first order; if none comes at once, what most prompts need is imported meanwhile."""
    with contextlib.suppress(Empty):
        return orders.get(timeout=_IDLE)
    worker.prepare()
    return orders.get()


def _listen(
    commands: BinaryIO, link: Link, worker: Any, orders: SimpleQueue[tuple[dict[str, Any], bytes] | None]
) -> None:
    """Take frames: those that cannot wait are answered here, beside the work; at the end of the stream all ends."""
    while (frame := frames.read(commands)) is not None:
        head, body = frame
        match head["do"]:
            case "cancel":
                worker.cancel(head["job"], head["attempt"])
            case "foresee":
                worker.foresee(head, body)
            case "check":
                worker.check(head, body)
            case "stop":
                break
            case "run":
                worker.expect(head["job"], head["attempt"])
                link.send({"is": "taken", "job": head["job"], "attempt": head["attempt"]})
                orders.put(frame)
            case _:
                orders.put(frame)
    os._exit(0)  # whatever the main thread is in: nobody is there to hear of it


def _take_output() -> BinaryIO:
    """The standard output as a file of our own; what nodes print goes to standard error from here on."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own


def _die_with_parent() -> None:
    """On Linux the kernel kills us with the server, even if a node holds the interpreter for itself."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            import ctypes

            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, _SIGKILL)
