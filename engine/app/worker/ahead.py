"""The jobs that wait: which of the values that are kept they will use, so that those who plan memory know."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.runtime.foresight import Waiting
from engine.runtime.result_cache import ResultCache

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A job that waits: its prompt and its targets, both JSON."""

    job: str
    prompt: bytes
    targets: str


Reader: TypeAlias = Callable[[Any, Any], Waiting]
"""Makes a graph of a prompt and its targets. Raises for what cannot run."""


class Ahead:
    """The jobs that wait. `tell` may be called from any thread."""

    def __init__(self, read: Reader, cache: ResultCache) -> None:
        self._read = read
        self._cache = cache
        self._prompts: tuple[Prompt, ...] = ()
        self._graphs: dict[str, Waiting | None] = {}

    def tell(self, head: Mapping[str, Any], body: bytes) -> None:
        """Take the jobs of a frame, those that run next first, for those there were before."""
        prompts, start = [], 0
        for job in head["jobs"]:
            end = start + job["length"]
            prompts.append(Prompt(job["id"], body[start:end], job["targets"]))
            start = end
        self._prompts = tuple(prompts)

    def values(self) -> Iterator[object]:
        """The values that are kept and that will be taken, the soonest first. Prompts are read when this is asked."""
        prompts, known = self._prompts, self._graphs
        self._graphs = {item.job: known[item.job] if item.job in known else self._graph(item) for item in prompts}
        for graph in self._graphs.values():
            if graph is not None:
                yield from graph.values(self._cache)

    def _graph(self, item: Prompt) -> Waiting | None:
        try:
            return self._read(json.loads(item.prompt), json.loads(item.targets))
        except Exception as error:  # noqa: BLE001  # the border: it will be told when it runs
            _log.debug("a job that waits cannot be read: %s: %s", type(error).__name__, error)
            return None
