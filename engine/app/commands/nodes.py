"""`main.py nodes`: the node types there are, or one of them in full."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from typing import ClassVar

from engine.app import catalogue
from engine.compat.object_info import describe
from engine.foundation.errors import EaselError
from engine.foundation.settings import Settings
from engine.store.folders import folders


class UnknownNodeError(EaselError):
    """A node type that does not exist."""

    code: ClassVar[str] = "unknown_node_type"


def run(options: argparse.Namespace, settings: Settings) -> int:
    """A line for each type, or the description of one as the HTTP API gives it."""
    specs = catalogue.specs(settings)
    if options.name is None:
        width = max(map(len, specs), default=0)
        for spec in sorted(specs.values(), key=lambda spec: (spec.category, spec.id)):
            summary = spec.description.partition("\n")[0]
            sys.stdout.write(f"{spec.id:{width}}  {spec.category:22}  {summary}\n")
        return 0
    if options.name not in specs:
        near = difflib.get_close_matches(options.name, specs)
        hint = f"Did you mean {' or '.join(near)}?" if near else "See `main.py nodes`."
        raise UnknownNodeError("there is no node type of this name", got=options.name, hint=hint)
    sys.stdout.write(json.dumps(describe(specs[options.name], folders(settings).list), indent=2) + "\n")
    return 0
