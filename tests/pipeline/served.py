"""A server as people start it: `main.py` in a process of its own, with a real worker and the demo model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Served:
    """Where a server is, and the process."""

    url: str
    process: subprocess.Popen[str]
    base: Path

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: Any) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def ended(self, job_id: str, seconds: float = 90) -> dict[str, Any]:
        """The history's entry of a job, once it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.get(f"/history/{job_id}")
            if found:
                entry: dict[str, Any] = found[job_id]
                return entry
            time.sleep(0.05)
        raise TimeoutError(f"job {job_id} did not end within {seconds} s")


@contextmanager
def served(base: Path, *options: str) -> Iterator[Served]:
    """A server over `base`, which gets the models of the repository."""
    models = base / "models"
    if not models.exists():
        models.symlink_to(ROOT / "models")
    command = [sys.executable, str(ROOT / "main.py"), "--base-directory", str(base), "--port", "0", "--cpu", *options]
    log = (base / "server.log").open("w")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=base, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://[^/\s]+", line)
        assert found, (line, (base / "server.log").read_text())
        yield Served(found[0], process, base)
    finally:
        process.terminate()
        process.wait(40)
        process.stdout.close() if process.stdout else None
        log.close()


def example_prompt(name: str = "text_to_image", *, steps: int = 4, seed: int = 0) -> dict[str, Any]:
    """The prompt of an example workflow, with few steps."""
    from engine.app import catalogue
    from engine.compat.media import prompt_from_file
    from engine.foundation.settings import settings_under

    prompt = prompt_from_file(ROOT / "workflows" / f"{name}.json", catalogue.specs(settings_under(ROOT)))
    for node in prompt.values():
        if node["class_type"] == "KSampler":
            node["inputs"] |= {"steps": steps, "seed": seed}
    return prompt
