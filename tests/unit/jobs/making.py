"""Jobs, attempts and toy executors for the tests of the jobs floor."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

from engine.jobs.child import Launch, Limits
from engine.jobs.children import ChildExecutor
from engine.jobs.job import Attempt, Job, NewJob

ROOT = Path(__file__).resolve().parents[3]
_ids = count(1)


def new_job(job_id: str | None = None, *, number: float = 0, **changes: Any) -> NewJob:
    job_id = job_id or f"job{next(_ids)}"
    defaults: dict[str, Any] = {"prompt": '{"1":{"class_type":"Say","inputs":{}}}', "targets": ("1",), "digest": "d"}
    return NewJob(id=job_id, number=number, **(defaults | changes))


def program(*nodes: tuple[str, dict[str, Any]]) -> str:
    """A prompt of toy nodes, done in order."""
    return json.dumps({str(i): {"class_type": t, "inputs": inputs} for i, (t, inputs) in enumerate(nodes, 1)})


def attempt_of(prompt: str, number: int = 1) -> Attempt:
    job_id = f"job{next(_ids)}"
    job = Job(
        1, job_id, "running", 0, 0, 0, number, None, None, prompt, "{}", None, "[]", 0, 0, None, "{}", "[]", None
    )  # fmt: skip
    return Attempt(job, number)


def toy_executor(*devices: str, limits: Limits | None = None, **hello: Any) -> ChildExecutor:
    launch = Launch((sys.executable, "-m", "tests.unit.jobs.toy_worker"), hello, ROOT)
    return ChildExecutor(dict.fromkeys(devices or ("toy",), launch), limits)
