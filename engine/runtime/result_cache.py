"""Results by content key, in memory, within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeAlias

from torch import Tensor

from engine.graph.keys import Key
from engine.store.artifacts import Artifact

Values: TypeAlias = tuple[object, ...]
"""The elements of one output: one, or several where a node gave a list."""

BASE_BYTES = 500  # what an entry costs beside the tensors in it


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a node gave: the values of each output, the files it saved, and the texts it shows."""

    outputs: tuple[Values, ...]
    artifacts: tuple[Artifact, ...] = ()
    texts: tuple[str, ...] = ()


class ResultCache:
    """The most recently used results, of `max_bytes` in all. Memory shared by several tensors counts once a result."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._entries: OrderedDict[Key, tuple[Result, int]] = OrderedDict()

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
        return entry[0]

    def put(self, key: Key, result: Result) -> None:
        """Keep `result`, and drop the least recently used ones until all fits; one beyond the budget is not kept."""
        size = BASE_BYTES + tensor_bytes(result.outputs) + sum(map(len, result.texts))
        self._drop(key)
        if size > self.max_bytes:
            return
        self._entries[key] = (result, size)
        self.nbytes += size
        while self.nbytes > self.max_bytes:
            self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self.nbytes = 0

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.nbytes -= entry[1]


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
