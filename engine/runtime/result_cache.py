"""Results by content key, in memory, within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from torch import Tensor

from engine.graph.keys import Key
from engine.memory.handle import ModelHandle
from engine.memory.host import Held, handles_in, held_by
from engine.store.artifacts import Artifact

Values: TypeAlias = tuple[object, ...]
"""The elements of one output: one, or several where a node gave a list."""

BASE_BYTES = 500  # what an entry costs beside the tensors in it
LOOK_BYTES = 16 * 2**20  # after so many more it is looked whether the machine's memory runs short


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a node gave: the values of each output, the files it saved, and the texts it shows."""

    outputs: tuple[Values, ...]
    artifacts: tuple[Artifact, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A result with its bytes, and the nets in it."""

    result: Result
    nbytes: int
    handles: WeakSet[ModelHandle[Any]]


class ResultCache:
    """The most recently used results, of `max_bytes` in all. Memory shared by several tensors counts once a result,
    and weights that are mapped from files do not count: they take nothing that the system could not have back.

    `missing` tells how many bytes of the machine's memory others need; results go first then, and models after them.
    """

    def __init__(self, max_bytes: int, missing: Callable[[], int] = lambda: 0) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self.relieved = 0
        """Bytes that were dropped because memory ran short, so far."""
        self._missing = missing
        self._grown = 0
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._held: WeakKeyDictionary[ModelHandle[Any], Held] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: Key) -> Result | None:
        """The result under `key`, which becomes the most recently used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.result

    def peek(self, key: Key) -> Result | None:
        """The result under `key`, which is not thereby used."""
        entry = self._entries.get(key)
        return None if entry is None else entry.result

    def put(self, key: Key, result: Result) -> None:
        """Keep `result`, and drop the least recently used ones until all fits; one beyond the budget is not kept."""
        handles = handles_in(result.outputs)
        for handle in handles:
            if handle not in self._held:
                with handle.look() as net:
                    self._held[handle] = held_by(net)
        taken = max(0, tensor_bytes(result.outputs) - self._held_by(handles).mapped)
        size = BASE_BYTES + taken + sum(map(len, result.texts))
        self._drop(key)
        if size > self.max_bytes:
            return
        self._entries[key] = _Entry(result, size, WeakSet(handles))
        self.nbytes += size
        self._grown += size
        while self.nbytes > self.max_bytes:
            self._drop(next(iter(self._entries)))
        if self._grown >= LOOK_BYTES:
            self.relieve()

    def relieve(self) -> None:
        """Drop what memory is missing for: the longest unused first, results without models before those with."""
        self._grown = 0
        missing = self._missing()
        if missing <= 0:
            return
        for key, entry in sorted(self._entries.items(), key=lambda item: len(item[1].handles) > 0):
            if missing <= 0:
                return
            own = entry.nbytes if not entry.handles else self._held_by(entry.handles).owned
            if own:
                missing -= own
                self.relieved += own
                self._drop(key)

    def figures(self) -> dict[str, int]:
        """Bytes of the machine's memory by what they are: results, weights, and weights that are mapped from files."""
        entries = tuple(self._entries.values())
        results = sum(entry.nbytes for entry in entries if not entry.handles)
        weights = self._held_by({handle for entry in entries for handle in entry.handles})
        return {"host_results": results, "host_weights": weights.owned, "host_mapped": weights.mapped}

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self.nbytes = 0

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.nbytes -= entry.nbytes

    def _held_by(self, handles: Iterable[ModelHandle[Any]]) -> Held:
        return sum((self._held.get(handle, Held()) for handle in handles), Held())


def tensor_bytes(values: Iterable[object]) -> int:
    """Bytes of the tensors and weights reachable from `values`, each storage once."""
    seen: dict[int, int] = {}
    stack: list[object] = list(values)
    while stack:
        value = stack.pop()
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            seen[storage.data_ptr() or id(storage)] = storage.nbytes()
        elif isinstance(value, list | tuple):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(getattr(value, "nbytes", None), int):
            seen[id(value)] = int(value.nbytes)  # type: ignore[attr-defined]  # just looked at
        elif is_dataclass(value) and not isinstance(value, type):
            stack.extend(getattr(value, item.name) for item in fields(value))
    return sum(seen.values())
