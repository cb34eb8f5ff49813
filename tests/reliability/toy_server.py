"""The server as `main.py serve` puts it together, only with toy workers: `python -m tests.reliability.toy_server ...`.

It takes the options of `serve`.
"""

from __future__ import annotations

import sys
from typing import Any

from engine.app import cli
from engine.app.commands import serve
from engine.foundation.settings import Settings, settings_to_json
from engine.jobs.child import Launch
from tests.unit.jobs import kill_points
from tests.unit.jobs.making import ROOT
from tests.unit.jobs.toy_specs import SPECS


def launches(settings: Settings, preview_method: str) -> dict[str, Launch]:
    hello: dict[str, Any] = {"settings": settings_to_json(settings)}
    return {"toy": Launch((sys.executable, "-m", "tests.unit.jobs.toy_worker"), hello, ROOT)}


def main() -> int:
    kill_points.arm_server()
    serve.launches = launches
    serve.catalogue.known_specs = lambda settings: SPECS  # type: ignore[assignment]
    return cli.main(["serve", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
