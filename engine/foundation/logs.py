"""Logs: one JSON object a line, with the job it concerns, and the latest lines kept for who asks."""

from __future__ import annotations

import json
import logging
import sys
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

KEPT_LINES = 300


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "job"?, "error"?}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        data = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        job = getattr(record, "job", None)
        if job is not None:
            data["job"] = job
        if record.exc_info:
            data["error"] = self.formatException(record.exc_info)
        return json.dumps(data)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line that was logged, and when (ISO 8601)."""

    time: str
    text: str


class LogTail(logging.Handler):
    """Keeps the latest lines, without the tracebacks: they name files of this machine."""

    def __init__(self, size: int = KEPT_LINES) -> None:
        super().__init__()
        self._entries: deque[LogEntry] = deque(maxlen=size)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        self._entries.append(LogEntry(time, f"{record.levelname}: {record.getMessage()}"))

    def entries(self) -> list[LogEntry]:
        """The latest lines, the oldest first."""
        return list(self._entries)

    def lines(self) -> list[str]:
        """The latest lines as text."""
        return [f"{entry.time} {entry.text}" for entry in self._entries]


def set_up(level: int = logging.INFO) -> LogTail:
    """Log to standard error as JSON lines, and keep the latest ones."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonFormatter())
    tail = LogTail()
    logging.basicConfig(level=level, handlers=[stream, tail], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # addresses may hold tokens
    return tail
