"""Finds node packs: the built-in one and every module or folder of the user's. One that fails leaves the rest alone."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from engine.node.declare import definition_of
from engine.node.definition import NodeDefinition
from engine.node.registry import Registry, clash

BUILT_IN = "nodes"


@dataclass(frozen=True, slots=True)
class PackFailure:
    """A pack that could not be loaded, or a node of it that clashes with another pack's."""

    pack: str
    reason: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.pack}: {self.reason}" + (f" ({self.place})" if self.place else "")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The node types of all packs, and what went wrong."""

    registry: Registry
    failures: tuple[PackFailure, ...]


def load_packs(custom: Path | None) -> Loaded:
    """Load the built-in pack and those in the folder `custom` (None: no others). The first one of a name wins."""
    definitions: dict[str, NodeDefinition] = {}
    failures: list[PackFailure] = []
    for name, modules in _packs(custom):
        try:
            found = [item for module in modules for item in _definitions(module)]
        except Exception as error:  # noqa: BLE001  # the border: importing a pack runs its author's code
            failures.append(PackFailure(name, f"{type(error).__name__}: {error}", _last_place(error)))
            continue
        for definition in found:
            known = definitions.setdefault(definition.spec.id, definition)
            if known is not definition:
                failures.append(PackFailure(name, str(clash(known, definition))))
    return Loaded(Registry(definitions.values()), tuple(failures))


def pack_paths(custom: Path | None) -> list[Path]:
    """The modules and folders in `custom` that are packs, by name."""
    if custom is None or not custom.is_dir():
        return []
    return sorted(
        path
        for path in custom.iterdir()
        if not path.name.startswith((".", "_"))
        and (path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").is_file()))
    )


def _packs(custom: Path | None) -> Iterator[tuple[str, Iterator[ModuleType]]]:
    yield BUILT_IN, _package(BUILT_IN)
    for path in pack_paths(custom):
        yield path.stem, _from_path(path)


def _package(name: str) -> Iterator[ModuleType]:
    package = importlib.import_module(name)
    yield package
    for module in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{name}.{module.name}")


def _from_path(path: Path) -> Iterator[ModuleType]:
    """The pack at `path`, imported under a name of its own so that it hides no other module."""
    name = f"custom_nodes.{path.stem}"
    file = path / "__init__.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=[str(path)] if path.is_dir() else None
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    yield module


def _definitions(module: ModuleType) -> Iterable[NodeDefinition]:
    """The nodes that a module defines or exports, each once."""
    found = (definition_of(value) for value in vars(module).values())
    return {id(definition): definition for definition in found if definition is not None}.values()


def _last_place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
