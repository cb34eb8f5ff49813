"""The node types of this installation: as specs from the cached catalogue, or as definitions from the packs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.foundation.settings import Settings
from engine.graph.spec import NodeSpec
from engine.plugins.catalogue import Catalogue, known_catalogue, load_catalogue, sources_of

if TYPE_CHECKING:  # the node floor imports torch, which validating must not
    from engine.node.definition import NodeDefinition

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "nodes", ROOT / "engine")  # the engine too: nodes take their lists of choices from it


def specs(settings: Settings) -> Mapping[str, NodeSpec]:
    """The specs of every node type, without importing torch once they are cached; failed packs are told of."""
    catalogue = load_catalogue(settings.user / "cache", _sources(settings), lambda: _from_packs(settings))
    for failure in catalogue.failures:
        sys.stderr.write(f"warning: pack {failure}\n")
    return catalogue.specs


def known_specs(settings: Settings) -> Mapping[str, NodeSpec] | None:
    """The specs of every node type if they are cached; None if the packs would have to be loaded for them."""
    catalogue = known_catalogue(settings.user / "cache", _sources(settings))
    return None if catalogue is None else catalogue.specs


def definitions(settings: Settings) -> Mapping[str, NodeDefinition]:
    """The definitions of every node type: imports the packs, and so torch."""
    from engine.plugins.packs import load_packs

    return load_packs(settings.packs if settings.custom_nodes else None).registry


def _sources(settings: Settings) -> list[Path]:
    packs = [settings.packs] if settings.custom_nodes and settings.packs.is_dir() else []
    return sources_of([*SOURCES, *packs])


def _from_packs(settings: Settings) -> Catalogue:
    from engine.plugins.packs import load_packs

    loaded = load_packs(settings.packs if settings.custom_nodes else None)
    return Catalogue(loaded.registry.specs, tuple(map(str, loaded.failures)))
