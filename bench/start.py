"""How soon the command line answers: `--help` and `validate`, each in a process of its own.

The first time after a change of the node types, `validate` loads every pack, and so torch, as the worker of a new
server does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / "workflows" / "text_to_image.json"
REPEATS = 5


def measure() -> Iterator[str]:
    """A line for each command; the catalogue is warmed first."""
    yield f"start: seconds until a command has answered (limit 0.5), and of the processor; medians of {REPEATS}"
    for name, arguments in (("--help", ["--help"]), ("validate", ["validate", str(WORKFLOW)])):
        _answered(arguments)
        yield _row(name, partial(list, arguments))
    with tempfile.TemporaryDirectory() as folder:
        new = (str(Path(folder) / str(number)) for number in count())
        yield _row("validate, nothing known", lambda: ["validate", str(WORKFLOW), "--user-directory", next(new)])


def _row(name: str, arguments: Callable[[], list[str]]) -> str:
    clock, processor = zip(*(_answered(arguments()) for _ in range(REPEATS)), strict=True)
    return f"{name:24}{statistics.median(clock):8.2f}{statistics.median(processor):8.2f}"


def _answered(arguments: list[str]) -> tuple[float, float]:
    """Seconds that a command takes, of the clock and of the processor."""
    start, before = time.monotonic(), os.times()
    subprocess.run([sys.executable, str(ROOT / "main.py"), *arguments], check=True, capture_output=True)
    used = os.times()
    processor = used.children_user + used.children_system - before.children_user - before.children_system
    return time.monotonic() - start, processor
