"""The parent's side of a worker process: its life, its frames, and the one attempt it may have.

The process speaks frames (`engine.jobs.frames`) on its standard input and output. It beats every second from a thread
of its own, so silence means that it is frozen; and it ends when its input does, so it never outlives the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from engine.jobs import frames
from engine.jobs.events import ENDS, Event, Lost, Preview, Stopped, from_json
from engine.jobs.executor import WorkerInfo
from engine.jobs.job import Attempt, Job

_log = logging.getLogger(__name__)
_worker_log = logging.getLogger("easel.worker")

STDERR_LINES_KEPT = 20
_FROM_OUTSIDE = {-signal.SIGTERM, -signal.SIGINT} | ({-signal.SIGHUP, -signal.SIGKILL} if os.name == "posix" else set())


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a worker: its command line, the first frame's head, and the folder it starts in."""

    argv: Sequence[str]
    hello: Mapping[str, Any]
    cwd: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. A worker that does not beat for `silence` is frozen; an attempt that tells nothing for `stall` hangs."""

    silence: float = 120.0
    stall: float = 3600.0
    first_restart: float = 0.1
    longest_restart: float = 30.0


Killed: TypeAlias = Literal["no", "cancelled", "hung", "stopping"]


class Child:
    """One worker, through all the processes that it takes to keep it alive."""

    def __init__(
        self, device: str, launch: Launch, limits: Limits, changed: Callable[[], None], ready: Callable[[], None]
    ) -> None:
        self.device = device
        self.state: Literal["starting", "idle", "busy", "gone"] = "gone"
        self.attempt: Attempt | None = None
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.memory: Mapping[str, int] = {}
        self.about: Mapping[str, Any] = {}
        self._launch = launch
        self._limits = limits
        self._changed = changed
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None
        self._killed: Killed = "no"
        self._reason = ""
        self._last_beat = 0.0
        self._last_word = 0.0
        self._oom_kills = 0
        self._node = ""
        self._taken = False
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._checks: dict[int, asyncio.Future[list[dict[str, Any]]]] = {}
        self._stopping = False

    @property
    def info(self) -> WorkerInfo:
        """The worker as it is now."""
        return WorkerInfo(self.device, self.device, self.state, self.memory, self.about)

    async def keep(self) -> None:
        """Start the process, and again whenever it dies, until `stop`; slower each time it dies before it was ready."""
        pause = self._limits.first_restart
        while not self._stopping:
            try:
                was_ready = await self._live()
            except OSError as error:
                _log.error("worker %s cannot be started: %s", self.device, error)
                self.state, was_ready = "gone", False
            pause = self._limits.first_restart if was_ready else min(pause * 2, self._limits.longest_restart)
            if not self._stopping:
                await asyncio.sleep(pause)
            else:
                await asyncio.sleep(0)  # the loop closes the pipes of a process that has ended on its next turn

    def begin(self, attempt: Attempt) -> None:
        """Give the worker an attempt; its events come through `events`."""
        self.attempt = attempt
        self.state = "busy"
        self.events = asyncio.Queue()
        self._node, self._taken = "", False
        self._oom_kills = _oom_kills()
        self._last_word = asyncio.get_running_loop().time()
        job = attempt.job
        prompt, extra = job.prompt.encode(), job.extra.encode()
        head = {"do": "run", "job": job.id, "attempt": attempt.number, "split": len(prompt)}
        self.send(head | {"targets": job.targets, "secrets": job.secrets}, prompt + extra)

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send a frame; one that cannot be delivered is forgotten, since the process is about to be replaced."""
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(frames.pack(head, body))

    def foresee(self, waiting: Sequence[Job]) -> None:
        """Tell the worker which jobs wait, beside what it does."""
        prompts = [job.prompt.encode() for job in waiting]
        jobs = [
            {"id": job.id, "length": len(prompt), "targets": job.targets}
            for job, prompt in zip(waiting, prompts, strict=True)
        ]
        self.send({"do": "foresee", "jobs": jobs}, b"".join(prompts))

    async def check(self, number: int, prompt: str, targets: Sequence[str]) -> list[dict[str, Any]]:
        """Ask the validators of the prompt's nodes."""
        answer: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._checks[number] = answer
        try:
            self.send({"do": "check", "number": number, "targets": list(targets)}, prompt.encode())
            return await answer
        finally:
            del self._checks[number]

    def kill(self, why: Killed, reason: str = "") -> None:
        """End the process at once, with all that it started."""
        if self._process is None or self._process.returncode is not None:
            return
        self._killed, self._reason = why, reason
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    async def stop(self, patience: float = 2.0) -> None:
        """End the worker for good: it is asked, then killed."""
        self._stopping = True
        self.send({"do": "stop"})
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience if self.state != "busy" else 0.0)
            self.kill("stopping")

    async def _live(self) -> bool:
        """One process from start to end. Whether it ever was ready."""
        self.state, self._killed, self._reason, self.about = "starting", "no", "", {}
        self._stderr.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self._launch.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._launch.cwd,
            start_new_session=os.name == "posix",  # Ctrl-C in a terminal is for the server alone
        )
        self._last_beat = asyncio.get_running_loop().time()
        self.send(dict(self._launch.hello))
        watch = asyncio.create_task(self._watch())
        errors = asyncio.create_task(self._read_errors(self._process))
        reason = ""
        try:
            reason = await self._read_frames(self._process)
        finally:
            watch.cancel()
            if self._process.returncode is None and self._killed == "no" and not self._stopping:
                with contextlib.suppress(TimeoutError):  # nobody hears it any more: it has a moment to end by itself
                    await asyncio.wait_for(self._process.wait(), 2.0)
                self.kill("hung", reason)
            await self._process.wait()
            await asyncio.wait([errors], timeout=1.0)
            was_ready = bool(self.about)
            self._bury()
        return was_ready

    async def _read_frames(self, process: asyncio.subprocess.Process) -> str:
        """Take frames until there are no more. Why there are none."""
        assert process.stdout is not None
        try:
            while (frame := await frames.receive(process.stdout)) is not None:
                self._take(*frame)
        except Exception:  # noqa: BLE001  # the border: a worker is no better than the nodes in it
            _log.exception("worker %s sent what is no message", self.device)
            return "the worker sent what is no message"
        return "the worker closed its output"

    def _take(self, head: Mapping[str, Any], body: bytes) -> None:
        self._last_beat = asyncio.get_running_loop().time()
        match head["is"]:
            case "ready":
                self.about = head["about"]
                self.state = "idle"
                self._ready()
                self._changed()
            case "beat":
                self.memory = head["memory"]
            case "taken":
                self._taken = self._taken or self._is_current(head)
            case "events":
                self._take_events(head)
            case "preview":
                if self._is_current(head):
                    self.events.put_nowait(Preview(head["node"], body, head["type"]))
            case "checked":
                answer = self._checks.get(head["number"])
                if answer is not None and not answer.done():
                    answer.set_result(head["faults"])

    def _take_events(self, head: Mapping[str, Any]) -> None:
        if not self._is_current(head):
            return
        self._last_word, self._taken = self._last_beat, True
        for data in head["events"]:
            event = from_json(data)
            self._node = getattr(event, "node", "") or self._node
            if isinstance(event, ENDS):
                self._finish(event)
                return
            self.events.put_nowait(event)

    def _is_current(self, head: Mapping[str, Any]) -> bool:
        return self.attempt is not None and self.attempt.key == (head["job"], head["attempt"])

    def _finish(self, event: Event) -> None:
        self.attempt = None
        self.state = "idle"
        self.events.put_nowait(event)
        self._changed()

    def _bury(self) -> None:
        """The process is gone: say so to the attempt, if there was one."""
        code = self._process.returncode if self._process is not None else None
        self.state = "gone"
        self.memory = {}
        for answer in self._checks.values():
            if not answer.done():
                answer.set_result([])
        if self.attempt is not None:
            event = Stopped(self._node) if self._killed == "cancelled" else self._loss(code)
            self.attempt = None
            self.events.put_nowait(event)
            _log.warning("worker %s ended under a job: %s", self.device, event)
        elif not self._stopping:
            _log.warning("worker %s ended: %s. %s", self.device, _ending(code), self._last_words())
        self._changed()

    def _loss(self, code: int | None) -> Lost:
        at = f" at node {self._node}" if self._node else ""
        if not self._taken:
            return Lost("the worker ended before it took the job", blamed=False)
        if self._killed == "hung":
            return Lost(f"{self._reason}{at}", blamed=True)
        if self._killed == "stopping" or self._stopping:
            return Lost("the server stops", blamed=False)
        out_of_memory = code == -9 and _oom_kills() > self._oom_kills
        if out_of_memory:
            return Lost(f"the machine ran out of memory{at}", blamed=True)
        return Lost(f"the worker ended with {_ending(code)}{at}", blamed=code not in _FROM_OUTSIDE)

    def _last_words(self) -> str:
        return " | ".join(self._stderr)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self._limits.silence / 4, self._limits.stall / 4))
            now = loop.time()
            if now - self._last_beat > self._limits.silence:
                self.kill("hung", f"the worker was frozen for {self._limits.silence:g} s")
            elif self.attempt is not None and now - self._last_word > self._limits.stall:
                self.kill("hung", f"the job showed no sign of life for {self._limits.stall:g} s")

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # a line beyond the stream's limit: the rest of it is read as the next
            while line := await process.stderr.readline():
                text = line.decode("utf-8", "replace").rstrip()
                self._stderr.append(text[:500])
                _worker_log.info("%s", text[:2000], extra={"job": self.attempt.job.id} if self.attempt else {})


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit status {code}"


def _oom_kills() -> int:
    """How often the kernel has killed a process for want of memory (Linux; elsewhere always 0)."""
    try:
        lines = Path("/proc/vmstat").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
