"""From argv to an exit status: 0 success, 1 a run that failed, 2 bad input, 130 stopped by the user."""

from __future__ import annotations

import importlib
import sys

from engine.app import arguments
from engine.foundation.errors import EaselError

FAILED_RUN = 1
BAD_INPUT = 2
STOPPED = 130


def main(argv: list[str]) -> int:
    """Run the command in `argv`. Errors that a user can cause are one line on standard error each, no traceback."""
    command, options, settings = arguments.parse(argv)
    module = importlib.import_module(f"engine.app.commands.{command}")
    try:
        status: int = module.run(options, settings)
    except EaselError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED_RUN if error.code == "node_failed" else BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return STOPPED
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        return FAILED_RUN
    return status
