"""A worker process without torch: each node of a prompt is a small misdeed to be done in order.

Types: `Say` (finish at once), `Steps` (poll for a cancel every 10 ms), `Deaf` (sleep without polling), `Fail`, `Exit`
(os._exit), `Segfault`, `Freeze` (hold the interpreter in C), `Spin` (an endless loop in Python), `Nonsense` (bytes on
the pipe that are no frame), `Close` (close the pipe and live on), `Flood` (many progress events), `Save` (write a file,
or only report one where the server gave no folders), `Full` (write a file while the disk is full).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
import time
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any
from unittest import mock

from engine.app.worker.link import Link
from engine.app.worker.process import _die_with_parent, _take_output
from engine.foundation.settings import Settings, settings_from_json
from engine.jobs import frames
from engine.jobs.events import Done, Failed, NodeFinished, NodeStarted, Progress, Started, Stopped
from engine.jobs.job import Saved
from engine.store.artifacts import ArtifactStore, StoreError
from engine.store.journal import SaveJournal, journal_path
from tests.unit.jobs import kill_points

cancelled: dict[tuple[str, int], Event] = {}
orders: SimpleQueue[tuple[dict[str, Any], bytes]] = SimpleQueue()
stores: dict[str, ArtifactStore] = {}


def main() -> None:
    _die_with_parent()
    kill_points.arm_worker()
    commands, link = sys.stdin.buffer, Link(_take_output())
    hello = frames.read(commands)
    assert hello is not None
    link.start()
    Thread(target=listen, args=(commands, link), daemon=True).start()
    time.sleep(hello[0].get("slow_start", 0))
    settings = settings_from_json(hello[0]["settings"]) if "settings" in hello[0] else None
    link.send({"is": "ready", "about": {"type": "toy"}})
    while True:
        head, body = orders.get()
        key = (head["job"], head["attempt"])
        link.begin(*key)
        open_store(settings, head["job"])
        link.tell(run(link, json.loads(body[: head["split"]]), cancelled[key]))
        del cancelled[key]


def listen(commands: Any, link: Link) -> None:
    while (frame := frames.read(commands)) is not None:
        head, body = frame
        key = (head.get("job"), head.get("attempt"))
        if head["do"] == "run":
            cancelled[key] = Event()  # type: ignore[index]
            link.send({"is": "taken", "job": head["job"], "attempt": head["attempt"]})
            orders.put((head, body))
        elif head["do"] == "cancel" and key in cancelled:
            cancelled[key].set()
        elif head["do"] == "check":
            link.send({"is": "checked", "number": head["number"], "faults": [{"node": "1", "message": "no"}]})
        elif head["do"] == "stop":
            break
    os._exit(0)


def open_store(settings: Settings | None, job: str) -> None:
    """The store of results for an attempt, as a real worker has one."""
    stores.clear()
    if settings is not None:
        journal = SaveJournal(journal_path(settings.user, job))
        stores["store"] = ArtifactStore({"output": settings.output, "temp": settings.temp}, journal)


def run(link: Link, prompt: dict[str, Any], stop: Event) -> Any:
    link.tell(Started(()))
    for node, entry in prompt.items():
        link.tell(NodeStarted(node, entry["class_type"]))
        end, files = MISDEEDS[entry["class_type"]](link, node, entry["inputs"], stop), ()
        if isinstance(end, Saved):
            end, files = None, (end,)
        if end is not None:
            return end
        output = {"images": [{"filename": saved.filename} for saved in files]} if files else None
        link.tell(NodeFinished(node, output, files))
    return Stopped() if stop.is_set() else Done()


def steps(link: Link, node: str, inputs: dict[str, Any], stop: Event) -> Any:
    for step in range(inputs["count"]):
        if stop.wait(0.01):
            return Stopped(node, "Steps")
        link.tell(Progress(node, step + 1, inputs["count"]))
    return None


def flood(link: Link, node: str, inputs: dict[str, Any], stop: Event) -> None:
    for step in range(inputs["count"]):
        link.tell(Progress(node, step + 1, inputs["count"]))


def save(link: Link, node: str, inputs: dict[str, Any], stop: Event) -> Any:
    """A file whose first line says of which node of which job it is."""
    if not stores:
        return Saved(node, inputs["name"], "", "output", 1, "00", "image/png")
    data = f"{link.attempt[0]} {node}\n".encode() + b"x" * 20_000
    try:
        made = stores["store"].save(data, inputs["name"].removesuffix(".png"), ".png", "output")
    except StoreError as error:
        return Failed("user", str(error), type(error).__name__, node, "Save", code=error.code)
    return Saved(node, made.filename, made.subfolder, made.type, made.size, made.sha256, made.media_type)


def full(link: Link, node: str, inputs: dict[str, Any], stop: Event) -> Any:
    with mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        return save(link, node, {"name": "full.png"}, stop)


def spin(link: Link, node: str, inputs: dict[str, Any], stop: Event) -> None:
    while True:
        pass


def nonsense(link: Link, node: str, inputs: dict[str, Any], stop: Event) -> None:
    link._out.write(b"\x00\x00\x00\x05\x00\x00\x00\x00oops!")
    time.sleep(60)


def close(link: Link, node: str, inputs: dict[str, Any], stop: Event) -> None:
    os.close(link._out.fileno())
    time.sleep(60)


MISDEEDS: dict[str, Any] = {
    "Say": lambda *_: None,
    "Steps": steps,
    "Flood": flood,
    "Deaf": lambda link, node, inputs, stop: time.sleep(inputs["seconds"]),
    "Fail": lambda link, node, inputs, stop: Failed("user", "it failed", "ValueError", node, "Fail"),
    "Exit": lambda *_: os._exit(3),
    "Segfault": lambda *_: ctypes.string_at(0) and None,
    "Freeze": lambda link, node, inputs, stop: ctypes.PyDLL(None).usleep(int(inputs["seconds"] * 1e6)) and None,
    "Spin": spin,
    "Nonsense": nonsense,
    "Close": close,
    "Save": save,
    "Full": full,
}


if __name__ == "__main__":
    main()
