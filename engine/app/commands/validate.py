"""`main.py validate`: everything that is wrong with a document, without running it."""

from __future__ import annotations

import argparse
import sys

from engine.app import catalogue, documents
from engine.foundation.settings import Settings
from engine.store.folders import folders


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Raises `BindError` if the document may not run."""
    specs = catalogue.specs(settings)
    graph = documents.typed(documents.read(options.file, specs), specs, folders(settings))
    sys.stdout.write(f"{options.file}: {len(graph.nodes)} nodes, {len(graph.targets)} outputs, no faults\n")
    return 0
