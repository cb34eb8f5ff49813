"""`main.py run`: run a document here and now, and print the paths of the results."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from engine.app import catalogue, documents
from engine.foundation.settings import Settings
from engine.store.folders import folders


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Bind first, so that mistakes are told before anything is loaded; then run."""
    specs = catalogue.specs(settings)
    document = documents.changed(documents.read(options.file, specs), options.changes)
    documents.typed(document, specs, folders(settings))

    from engine.app.progress import shown
    from engine.app.surroundings import surroundings
    from engine.runtime.checks import checked
    from engine.runtime.executor import run as execute
    from engine.runtime.result_cache import ResultCache

    around = surroundings(settings)
    definitions = catalogue.definitions(settings)
    cache = ResultCache(settings.cache_bytes)
    for turn in range(options.repeat):
        current = documents.with_seeds_moved(document, specs, turn)
        graph = checked(documents.typed(current, specs, around.folders), definitions)
        names = {node.id: node.title or node.spec.display_name for node in graph.nodes.values()}
        with shown(names, quiet=options.quiet) as sink, around.working():
            services = replace(around, metadata=current.metadata())
            result = execute(graph, definitions, services, cache=cache, sink=sink, foresee=around.foresee)
        if result.error is not None:
            raise result.error
        for artifacts in result.artifacts.values():
            for artifact in artifacts:
                sys.stdout.write(f"{artifact.path}\n")
    return 0
