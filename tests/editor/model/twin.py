"""The server's own conversion of workflows, for the editor's tests to compare theirs with.

Reads requests from standard input, one a line: `{"types": "installed" | "corpus", "workflow": {...}}`. Answers in the
same order: first the node types of both kinds as `/object_info` gives them, then for each request the prompt as a list
of pairs, `{"prompt": [[id, node], ...]}`, or `{"error": "..."}`. Dice show their first side; the clock stands still.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from engine.app import catalogue  # noqa: E402
from engine.compat.object_info import describe  # noqa: E402
from engine.compat.workflow import read_workflow, to_prompt  # noqa: E402
from engine.foundation.errors import EaselError  # noqa: E402
from engine.foundation.json import dumps, parse_lenient  # noqa: E402
from engine.foundation.settings import settings_under  # noqa: E402
from engine.graph.spec import NodeSpec  # noqa: E402
from tests.unit.compat.test_workflow_convert import SPECS  # noqa: E402

NOW = datetime(2026, 3, 4, 5, 6, 7)
T = TypeVar("T")


class FirstSide(random.Random):
    """Dice that always choose the first."""

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        return seq[0]


def answer(request: Any, kinds: Mapping[str, Mapping[str, NodeSpec]]) -> dict[str, Any]:
    try:
        prompt = to_prompt(read_workflow(request["workflow"]), kinds[request["types"]], rng=FirstSide(), now=NOW)
        return {"prompt": list(prompt.items())}
    except EaselError as error:
        return {"error": str(error)}


def main() -> None:
    with TemporaryDirectory() as user:
        settings = replace(settings_under(ROOT), user=Path(user), custom_nodes=False)
        kinds = {"installed": catalogue.specs(settings), "corpus": SPECS}
        # No files: the editor takes the first one where a file is missing in the workflow, the server leaves it out.
    described = {
        kind: {key: describe(spec, lambda _: []) for key, spec in specs.items()} for kind, specs in kinds.items()
    }
    sys.stdout.write(dumps(described) + "\n")
    for line in sys.stdin:
        try:
            reply = answer(parse_lenient(line), kinds)
        except EaselError as error:
            reply = {"error": str(error)}
        sys.stdout.write(dumps(reply) + "\n")


if __name__ == "__main__":
    main()
