"""`main.py convert`: the prompt JSON of a workflow or picture."""

from __future__ import annotations

import argparse
import json
import sys

from engine.app import catalogue, documents
from engine.foundation.settings import Settings


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Writes to standard output; what binding would say is not looked at."""
    document = documents.read(options.file, catalogue.specs(settings))
    sys.stdout.write(json.dumps(document.prompt, indent=2, ensure_ascii=False) + "\n")
    return 0
