"""`main.py run`: run a document here and now, and print the paths of the results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace

from engine.app import catalogue, documents
from engine.foundation.settings import Settings
from engine.foundation.units import format_bytes
from engine.store.folders import folders


def memory_line(figures: Mapping[str, int]) -> str:
    """Where memory went, for people."""
    amounts = {name: format_bytes(nbytes) for name, nbytes in figures.items()}
    uses = ["results {host_results}", "weights {host_weights}", "mapped from files {host_mapped}"]
    if "host_pinned" in amounts:
        uses.append("pinned {host_pinned}, of which staging {host_staging}")
    parts = [f"RAM: {', '.join((*uses, 'free {host_free}'))}".format_map(amounts)]
    if "ledger_weights" in amounts:
        parts.append("device: weights {ledger_weights} of {ledger_limit}".format_map(amounts))
        parts.append(f"memory ran out {figures['out_of_memory']} times")
    return "; ".join(parts)


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Bind first, so that mistakes are told before anything is loaded; then run."""
    specs = catalogue.specs(settings)
    document = documents.changed(documents.read(options.file, specs), options.changes)
    documents.typed(document, specs, folders(settings))

    from engine.app.progress import shown
    from engine.app.surroundings import surroundings, timings_of
    from engine.app.timings import Timed, work_keys
    from engine.runtime.checks import checked
    from engine.runtime.executor import run as execute
    from engine.runtime.result_cache import ResultCache

    around = surroundings(settings)
    definitions = catalogue.definitions(settings)
    cache = ResultCache(settings.cache_bytes, around.host.missing)
    timings = timings_of(settings, around)
    for turn in range(options.repeat):
        current = documents.with_seeds_moved(document, specs, turn)
        graph = checked(documents.typed(current, specs, around.folders), definitions)
        names = {node.id: node.title or node.spec.display_name for node in graph.nodes.values()}
        keys = work_keys(graph, definitions, around.fingerprint)
        services = replace(around, metadata=current.metadata())
        with shown(names, quiet=options.quiet) as sink, around.working():
            timed = Timed(sink, keys, timings)
            result = execute(graph, definitions, services, cache=cache, sink=timed, foresee=around.foresee)
        timings.save()
        if result.error is not None:
            raise result.error
        for artifacts in result.artifacts.values():
            for artifact in artifacts:
                sys.stdout.write(f"{artifact.path}\n")
    if not options.quiet:
        sys.stderr.write(f"{memory_line(around.memory() | cache.figures())}\n")
    return 0
