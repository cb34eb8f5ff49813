"""How soon the command line answers: `--help` and `validate`, each in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / "workflows" / "text_to_image.json"
REPEATS = 5


def measure() -> Iterator[str]:
    """A line for each command; the catalogue is warmed first."""
    yield "start: seconds until a command has answered (limit 0.5), median of 5"
    for name, arguments in (("--help", ["--help"]), ("validate", ["validate", str(WORKFLOW)])):
        command = [sys.executable, str(ROOT / "main.py"), *arguments]
        subprocess.run(command, check=True, capture_output=True)
        yield f"{name:10}{statistics.median(_seconds(command) for _ in range(REPEATS)):8.2f}"


def _seconds(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start
