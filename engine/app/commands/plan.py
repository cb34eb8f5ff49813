"""`main.py plan`: what a run would take of the device, node by node, without running it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from engine.app import catalogue, documents
from engine.app.forecasting import NodeForecast, RunForecast, forecast
from engine.app.surroundings import surroundings, timings_of
from engine.foundation.settings import Settings
from engine.foundation.units import format_bytes
from engine.memory.forecast import PlannedWork
from engine.plugins.packs import load_packs
from engine.runtime.checks import checked

COLUMNS = ("node", "net", "weights", "activations", "mode", "calls", "at least", "seconds")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Writes a table or JSON to standard output. Raises `NoRoomError` after it where the budget is too small."""
    specs = catalogue.specs(settings)
    document = documents.changed(documents.read(options.file, specs), options.changes)
    around = surroundings(settings)
    definitions = catalogue.definitions(settings)
    graph = checked(documents.typed(document, specs, around.folders), definitions)
    own = load_packs(None).registry
    found = forecast(graph, definitions, around, settings, own.__contains__, timings_of(settings, around))
    sys.stdout.write(json.dumps(to_json(found), indent=2) + "\n" if options.json else table(found))
    sys.stdout.flush()
    found.require()
    return 0


def table(found: RunForecast) -> str:
    """For people: a line for each net that a node uses, and what all of it comes to."""
    rows: list[tuple[str, ...]] = [COLUMNS]
    for node in found.nodes:
        rows += _rows(node)
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", f"{found.device}: {format_bytes(found.limit)} to use, {format_bytes(found.least)} would do"]
    lines += [f"{node.title} ({node.id}): not known, {node.unknown}" for node in found.nodes if node.unknown]
    return "\n".join(lines) + "\n"


def to_json(found: RunForecast) -> dict[str, Any]:
    """For programs: bytes and seconds; null for what is not known."""
    return {
        "device": found.device,
        "limit": found.limit,
        "least": found.least,
        "fits": all(work.mode is not None for node in found.nodes for work in node.works),
        "nodes": [
            {
                "id": node.id,
                "type": node.type,
                "title": node.title,
                "seconds": node.seconds,
                "unknown": node.unknown or None,
                "works": [_work_json(work) for work in node.works],
            }
            for node in found.nodes
        ],
    }


def mode_of(work: PlannedWork) -> str:
    """How work would be done, in words."""
    mode = work.mode
    if mode is None:
        return "does not fit"
    calls = -(-work.demand.rows // mode.rows)
    ways = [f"in {calls} parts"] if calls > 1 else []
    ways += [f"in tiles of {mode.tile}"] if mode.tile is not None else []
    ways += [] if mode.whole else [f"{work.streamed:.0%} streamed"]
    return ", ".join(ways) or "whole"


def _rows(node: NodeForecast) -> list[tuple[str, ...]]:
    name, seconds = f"{node.title} ({node.id})", "-" if node.seconds is None else f"{node.seconds:.2f}"
    if not node.works:
        return [] if node.seconds is None else [(name, "", "", "", "", "", "", seconds)]
    rows: list[tuple[str, ...]] = []
    for place, work in enumerate(node.works):
        activations = min([work.demand.row_bytes, *(tile.nbytes for tile in work.demand.tiles)])
        rows.append((
            "" if place else name,
            work.net,
            format_bytes(work.weights),
            format_bytes(activations if work.mode is None else work.mode.activations),
            mode_of(work),
            str(work.calls),
            format_bytes(work.least),
            "" if place else seconds,
        ))  # fmt: skip
    return rows


def _work_json(work: PlannedWork) -> dict[str, Any]:
    mode = work.mode
    chosen = None
    if mode is not None:
        chosen = {
            "rows": mode.rows,
            "tile": mode.tile,
            "streamed": round(work.streamed, 4),
            "weights": mode.weights,
            "staging": mode.staging,
            "activations": mode.activations,
        }
    return {
        "net": work.net,
        "weights": work.weights,
        "rows": work.demand.rows,
        "calls": work.calls,
        "least": work.least,
        "mode": chosen,
        "summary": mode_of(work),
    }
