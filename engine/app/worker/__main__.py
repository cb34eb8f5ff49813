"""`python -m engine.app.worker`: started by the server, which speaks to it on standard input and output."""

from __future__ import annotations

import sys

from engine.app.worker.process import main

if __name__ == "__main__":
    sys.exit(main())
