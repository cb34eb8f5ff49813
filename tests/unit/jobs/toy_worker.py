"""A worker process without torch: each node of a prompt is a small misdeed to be done in order.

Types: `Say` (finish at once), `Steps` (poll for a cancel every 10 ms), `Deaf` (sleep without polling), `Fail`, `Exit`
(os._exit), `Segfault`, `Freeze` (hold the interpreter in C), `Save` (report a file), `Flood` (many progress events).
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from engine.app.worker.link import Link
from engine.app.worker.process import _die_with_parent, _take_output
from engine.jobs import frames
from engine.jobs.events import Done, Failed, NodeFinished, NodeStarted, Progress, Started, Stopped
from engine.jobs.job import Saved

cancelled: dict[tuple[str, int], Event] = {}
orders: SimpleQueue[tuple[dict[str, Any], bytes]] = SimpleQueue()


def main() -> None:
    _die_with_parent()
    commands, link = sys.stdin.buffer, Link(_take_output())
    hello = frames.read(commands)
    assert hello is not None
    link.start()
    Thread(target=listen, args=(commands, link), daemon=True).start()
    time.sleep(hello[0].get("slow_start", 0))
    link.send({"is": "ready", "about": {"type": "toy"}})
    while True:
        head, body = orders.get()
        key = (head["job"], head["attempt"])
        link.begin(*key)
        link.tell(run(link, json.loads(body[: head["split"]]), cancelled[key]))
        del cancelled[key]


def listen(commands: Any, link: Link) -> None:
    while (frame := frames.read(commands)) is not None:
        head, body = frame
        key = (head.get("job"), head.get("attempt"))
        if head["do"] == "run":
            cancelled[key] = Event()  # type: ignore[index]
            orders.put((head, body))
        elif head["do"] == "cancel" and key in cancelled:
            cancelled[key].set()
        elif head["do"] == "check":
            link.send({"is": "checked", "number": head["number"], "faults": [{"node": "1", "message": "no"}]})
        elif head["do"] == "stop":
            break
    os._exit(0)


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


MISDEEDS: dict[str, Any] = {
    "Say": lambda *_: None,
    "Steps": steps,
    "Flood": flood,
    "Deaf": lambda link, node, inputs, stop: time.sleep(inputs["seconds"]),
    "Fail": lambda link, node, inputs, stop: Failed("user", "it failed", "ValueError", node, "Fail"),
    "Exit": lambda *_: os._exit(3),
    "Segfault": lambda *_: ctypes.string_at(0) and None,
    "Freeze": lambda link, node, inputs, stop: ctypes.PyDLL(None).usleep(int(inputs["seconds"] * 1e6)) and None,
    "Save": lambda link, node, inputs, stop: Saved(node, inputs["name"], "", "output", 1, "00", "image/png"),
}


if __name__ == "__main__":
    main()
