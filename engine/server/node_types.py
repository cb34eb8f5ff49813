"""The node types that prompts are checked against: from the cache at once, or from the worker when it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from engine.compat.object_info import describe
from engine.foundation import json
from engine.graph.spec import ChoiceWidget, NodeSpec
from engine.store.listing import Listing


class NodeTypes:
    """The specs, and their description for clients, written once for each change of the specs or of a model folder."""

    def __init__(self, folders: Listing, read: Callable[[], Mapping[str, NodeSpec] | None]) -> None:
        """`read` gives the specs if they are known yet."""
        self._folders = folders
        self._read = read
        self._specs: Mapping[str, NodeSpec] | None = None
        self._known = asyncio.Event()
        self._kinds: frozenset[str] = frozenset()
        self._described: tuple[tuple[object, ...], dict[str, str], str] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Look for the specs again."""
        specs = self._read()
        if specs is not None:
            self._specs = specs
            self._kinds = frozenset(_file_kinds(specs))
            self._described = None
            self._known.set()

    @property
    def known(self) -> bool:
        """Whether there are specs."""
        return self._specs is not None

    async def specs(self) -> Mapping[str, NodeSpec]:
        """The specs; on the very first start this waits for the worker."""
        await self._known.wait()
        assert self._specs is not None
        return self._specs

    async def describe_all(self) -> str:
        """`/object_info` as JSON text."""
        return (await self._description())[1]

    async def describe_one(self, name: str) -> str:
        """`/object_info/{name}` as JSON text; empty for a type that does not exist."""
        text = (await self._description())[0].get(name)
        return "{}" if text is None else f"{{{json.dumps(name)}:{text}}}"

    async def _description(self) -> tuple[dict[str, str], str]:
        specs = await self.specs()
        return await asyncio.to_thread(self._describe, specs)

    def _describe(self, specs: Mapping[str, NodeSpec]) -> tuple[dict[str, str], str]:
        version = (id(specs), *self._folders.version(sorted(self._kinds)))
        if self._described is None or self._described[0] != version:
            texts = {name: json.dumps(describe(spec, self._folders.list)) for name, spec in specs.items()}
            whole = "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in texts.items()) + "}"
            self._described = (version, texts, whole)
        return self._described[1], self._described[2]


def _file_kinds(specs: Mapping[str, NodeSpec]) -> set[str]:
    widgets = (item.widget for spec in specs.values() for item in spec.inputs)
    return {widget.files for widget in widgets if isinstance(widget, ChoiceWidget) and widget.files}
