"""`main.py inspect`: what a model file is."""

from __future__ import annotations

import argparse
import sys

from engine.foundation.settings import Settings
from engine.foundation.units import format_bytes
from engine.models.inspect import inspect

MAX_METADATA = 200


def run(options: argparse.Namespace, _settings: Settings) -> int:
    """Kind, family and why; the parts with their sizes; the metadata, long values cut."""
    report = inspect(options.file)
    kind = report.detection.kind.replace("_", " ")
    lines = [f"{options.file.name}: {kind}, {report.detection.family}, {report.precision}"]
    lines += [f"  for {report.base}"] if report.base else []
    lines += [f"  missing: {part}" for part in report.missing]
    lines += [f"  because {fact}" for fact in report.detection.evidence]
    lines += [
        f"  {part.name:16}{part.tensors:6} tensors{part.parameters / 1e6:10.2f} M parameters"
        f"{format_bytes(part.nbytes):>12}  {', '.join(part.dtypes)}"
        for part in report.components
    ]
    lines.append(f"  {'in all':16}{report.parameters / 1e6:24.2f} M parameters{format_bytes(report.nbytes):>12}")
    lines += [f"  {key}: {value[:MAX_METADATA]}" for key, value in report.metadata.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
