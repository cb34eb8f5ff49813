"""The worker: what it has loaded, and how it runs an attempt."""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from threading import Event as Flag
from threading import Lock
from typing import Any

import psutil
import torch

from engine.app import catalogue
from engine.app.surroundings import Surroundings, surroundings, timings_of
from engine.app.timings import Timed, work_keys
from engine.app.worker.ahead import Ahead
from engine.app.worker.link import Link
from engine.app.worker.previews import Previews
from engine.app.worker.report import Report
from engine.app.worker.scrub import Scrub, scrub_of
from engine.compat import prompt_json
from engine.foundation.errors import EaselError
from engine.foundation.settings import Settings
from engine.graph.bind import BindError, bind
from engine.graph.build import build
from engine.graph.graph import NodeId, TypedGraph
from engine.graph.spec import NodeSpec
from engine.jobs.events import Done, Event, Failed, Stopped
from engine.models.preview import Method
from engine.models.text.tower import import_towers
from engine.node.definition import NodeDefinition
from engine.runtime.cancellation import CancelToken
from engine.runtime.checks import checked
from engine.runtime.executor import Foresight, run
from engine.runtime.foresight import Waiting
from engine.runtime.result_cache import ResultCache
from engine.store.journal import SaveJournal, journal_path

STALE_PART_SECONDS = 3600
_log = logging.getLogger(__name__)


class Worker:
    """Runs attempts one after another.

    `cancel`, `expect`, `foresee` and `check` are called from the thread that listens.
    """

    def __init__(self, settings: Settings, preview_method: Method, link: Link) -> None:
        self._settings = settings
        self._link = link
        self._scrub = scrub_of(settings)
        self._around = surroundings(settings)
        self._cache = ResultCache(settings.cache_bytes, self._around.host.missing)
        self._timings = timings_of(settings, self._around)
        self._ahead = Ahead(self._waiting, self._cache)
        self._previews = Previews(link, preview_method, self._around.folders, self._around.device)
        self._tokens: dict[tuple[str, int], CancelToken] = {}
        self._lock = Lock()
        self._loaded = Flag()
        self._definitions: Mapping[str, NodeDefinition]
        self._specs: Mapping[str, NodeSpec]

    def load(self) -> None:
        """Load the node packs and tell the server that there is somebody to work."""
        self._definitions = catalogue.definitions(self._settings)
        self._specs = catalogue.specs(self._settings)
        self._loaded.set()
        self._remove_stale_parts()
        _keep_modules()
        self._link.send({"is": "ready", "about": self._about()})

    def prepare(self) -> None:
        """Import what takes long and most prompts need, so that they need not wait for it."""
        import_towers()
        _keep_modules()

    def expect(self, job: str, attempt: int) -> None:
        """An attempt is on its way, so from now on it can be cancelled."""
        with self._lock:
            self._tokens[job, attempt] = CancelToken()

    def cancel(self, job: str, attempt: int) -> None:
        """Stop an attempt at its next step; one that is over is left alone, and so is the one after it."""
        with self._lock:
            token = self._tokens.get((job, attempt))
        if token is not None:
            token.cancel()

    def foresee(self, head: Mapping[str, Any], prompts: bytes) -> None:
        """Hear which jobs wait."""
        self._ahead.tell(head, prompts)

    def check(self, head: Mapping[str, Any], prompt: bytes) -> None:
        """Answer what the validators of a prompt's nodes object to."""
        faults: list[dict[str, Any]] = []
        if self._loaded.is_set():
            try:
                checked(self._bound(json.loads(prompt), head["targets"]), self._definitions)
            except BindError as error:
                faults = [{"node": fault.node, "message": fault.message} for fault in error.diagnostics]
            except Exception as error:  # noqa: BLE001  # the border: a validator is its author's code
                _log.warning("a validator failed: %s: %s", type(error).__name__, error)
        self._link.send({"is": "checked", "number": head["number"], "faults": faults})

    def obey(self, head: Mapping[str, Any], body: bytes) -> None:
        """Do what does not fit beside the work."""
        match head["do"]:
            case "run":
                self._run(head, body)
            case "free":
                self._free()

    def memory(self) -> dict[str, int]:
        """Bytes by name: of this process, of its results, and of the device."""
        figures = {"rss": psutil.Process().memory_info().rss, "cache": self._cache.nbytes, "cached": len(self._cache)}
        figures |= self._cache.figures()
        if not self._loaded.is_set() and self._around.device.type != "cpu":  # not woken by the thread that asks
            return figures
        return figures | self._around.memory()

    def _run(self, head: Mapping[str, Any], body: bytes) -> None:
        key = (head["job"], head["attempt"])
        self._link.begin(*key)
        self._cache.relieve()
        try:
            end = self._attempt(key, head, body)
        finally:
            self._previews.end()
            with self._lock:
                self._tokens.pop(key, None)
        self._link.tell(end)

    def _attempt(self, key: tuple[str, int], head: Mapping[str, Any], body: bytes) -> Event:
        prompt, extra = body[: head["split"]], json.loads(body[head["split"] :])
        scrub = self._scrub.hiding(head["secrets"])
        try:
            graph = checked(self._bound(json.loads(prompt), json.loads(head["targets"])), self._definitions)
        except EaselError as error:
            return Failed("invalid", scrub(str(error)), type(error).__name__, code=error.code)
        self._previews.begin(extra.get("preview_method"))
        report = Report(graph, self._link.tell, self._previews.show, scrub, self._link.picture)
        room = self._around.room
        if room is not None:
            room.note = report.note
        keys = work_keys(graph, self._definitions, self._around.fingerprint)
        with self._around.working():
            result = run(
                graph,
                self._definitions,
                self._services(key, prompt.decode(), extra),
                cache=self._cache,
                sink=Timed(report, keys, self._timings),
                cancel=self._tokens[key],
                foresee=self._foresee,
            )
        self._timings.save()
        if result.cancelled:
            return Stopped()
        if result.error is not None:
            self._log_failure(result.error, scrub)
            failure = report.failure or Failed("user", scrub(str(result.error)))
            cause = result.error.__cause__
            return replace(failure, code=cause.code if isinstance(cause, EaselError) else failure.code)
        return Done()

    def _foresee(self, upcoming: Foresight) -> None:
        """What is used soon: what the run has yet to take, then what the jobs that wait will."""
        self._around.foresee(lambda: chain(upcoming(), self._ahead.values()))

    def _waiting(self, prompt: Any, targets: Sequence[str]) -> Waiting:
        return Waiting(self._bound(prompt, targets), self._definitions, self._around.fingerprint)

    def _bound(self, prompt: Any, targets: Sequence[str]) -> TypedGraph:
        graph = build(prompt_json.read(prompt))
        files = self._around.folders.list
        return bind(graph, self._specs, files=files, targets=[NodeId(target) for target in targets]).require()

    def _services(self, key: tuple[str, int], prompt: str, extra: Mapping[str, Any]) -> Surroundings:
        info = extra.get("extra_pnginfo")
        texts = {str(name): json.dumps(value) for name, value in info.items()} if isinstance(info, dict) else {}
        store = replace(self._around.artifacts, journal=SaveJournal(journal_path(self._settings.user, key[0])))
        return replace(self._around, artifacts=store, metadata={"prompt": prompt} | texts)

    def _free(self) -> None:
        self._cache.clear()
        gc.collect()
        if self._around.room is not None:
            self._around.room.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _about(self) -> dict[str, Any]:
        device = self._around.device
        hardware = self._around.hardware
        plain = device.type if hardware is None else hardware.name
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else plain
        return {
            "device": str(device),
            "type": device.type,
            "index": device.index,
            "name": name,
            "torch": torch.__version__,
            "python": sys.version,
        }

    def _log_failure(self, error: EaselError, scrub: Scrub) -> None:
        _log.warning("%s", scrub(str(error)), exc_info=error.__cause__)

    def _remove_stale_parts(self) -> None:
        """Remove what savers that were killed have left half-written; a young one may be another process's."""
        now = time.time()
        for root in (self._settings.output, self._settings.temp):
            for part in root.rglob(".*.part"):
                with suppress(OSError):
                    if now - part.stat().st_mtime > STALE_PART_SECONDS:
                        part.unlink()


def _keep_modules() -> None:
    """Torch and transformers bring half a million objects that stay: the collector need not look at them again."""
    gc.collect()
    gc.freeze()
