"""`main.py inspect`: what a model file is."""

from __future__ import annotations

import argparse

from engine.foundation.settings import Settings


def run(options: argparse.Namespace, settings: Settings) -> int:
    raise NotImplementedError
