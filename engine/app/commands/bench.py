"""`main.py bench`: figures of this machine."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import ClassVar

from engine.foundation.errors import EaselError
from engine.foundation.settings import Settings

NAMES = (
    "executor",
    "start",
    "sampling",
    "transformers",
    "cascade",
    "video",
    "convergence",
    "adapters",
    "loading",
    "memory",
    "server",
)


class UnknownBenchError(EaselError):
    """A measurement that does not exist."""

    code: ClassVar[str] = "unknown_bench"


def run(options: argparse.Namespace, _settings: Settings) -> int:
    """Each measurement is a module of the package `bench` with `measure()`, which gives lines of text."""
    for name in options.names or NAMES:
        if name not in NAMES:
            raise UnknownBenchError("there is no such measurement", got=name, expected=" or ".join(NAMES))
        for line in importlib.import_module(f"bench.{name}").measure():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return 0
