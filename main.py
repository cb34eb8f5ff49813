"""Easel's command line: `python main.py --help`."""

from __future__ import annotations

import sys

from engine.app.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
