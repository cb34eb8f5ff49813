"""Pickles from outside, opened in a process with limits; what comes back is a safetensors file."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO

from engine.foundation.errors import EaselError
from engine.models.pickles import DAMAGED, CorruptFileError, UnsafePickleError, WeightsError
from engine.store.safetensors_header import TruncatedFileError

TENSORS, ERROR = "tensors.safetensors", "error.json"
_ROOT = Path(__file__).resolve().parents[2]
_SLACK_BYTES = 2**30
_SECONDS, _BYTES_PER_SECOND = 60, 20_000_000  # a slow disk reads and writes several times as fast
_START_SECONDS = 120  # to import torch
_LONGEST_ERROR = 100_000
_ERRORS: Mapping[str, type[EaselError]] = {
    kind.__name__: kind for kind in (WeightsError, UnsafePickleError, CorruptFileError, TruncatedFileError)
}


class PickleProcess:
    """The process that opens pickles, started when first needed. May be used from several threads, one at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def unpacked(self, path: Path, *, seconds: float | None = None, memory: int | None = None) -> Iterator[Path]:
        """The tensors of a pickle as a safetensors file, which is gone at the end. Limits grow with the file.

        Raises `UnsafePickleError`, `TruncatedFileError`, `CorruptFileError` or `WeightsError`.
        """
        if not hasattr(os, "fork"):
            hint = "Convert it to safetensors."
            raise WeightsError("pickles cannot be opened safely on this system", where=path.name, hint=hint)
        size = path.stat().st_size
        seconds = seconds or _SECONDS + size / _BYTES_PER_SECOND
        memory = memory or 4 * size + _SLACK_BYTES
        with tempfile.TemporaryDirectory(prefix="easel-weights-") as folder:
            status = self._ask(path.absolute(), Path(folder), seconds, memory)
            _raise_told(Path(folder) / ERROR)
            if status != 0:
                reason = "it takes too long" if status is None else "it ends its reader"
                raise CorruptFileError("this file cannot be read", where=path.name, got=reason, hint=DAMAGED)
            yield Path(folder) / TENSORS

    def close(self) -> None:
        """End the process, if it runs, and whatever it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def _ask(self, path: Path, folder: Path, seconds: float, memory: int) -> int | None:
        """How the reader of one file ended; None if it was ended, because it took too long."""
        request = {"path": str(path), "folder": str(folder), "seconds": int(seconds) + 1, "memory": memory}
        with self._lock:
            fresh = self._process is None or self._process.poll() is not None
            process = self._start() if fresh else self._process
            assert process is not None
            assert process.stdin is not None
            assert process.stdout is not None
            answer = b""
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                answer = _line(process.stdout, seconds + (_START_SECONDS if fresh else 0))
            except BrokenPipeError:
                pass  # killed between two files, by whoever was short of memory
            if not answer.strip().isdigit():
                self.close()
                return None
            return int(answer)

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.models.pickle_child"],
            cwd=_ROOT,
            env={**kept, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},  # no token, and nothing on a device
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a group of its own, so that it and its forks end at one stroke
        )
        return self._process


def _line(stream: IO[bytes], seconds: float) -> bytes:
    """A line of an unbuffered stream, what there is of one after `seconds` or at the end."""
    line, end = b"", time.monotonic() + seconds
    while not line.endswith(b"\n") and (left := end - time.monotonic()) > 0:
        if select.select([stream], [], [], left)[0]:
            data = os.read(stream.fileno(), 100)
            if not data:
                break
            line += data
    return line


def _raise_told(told: Path) -> None:
    if told.is_file():
        with told.open("rb") as file:
            name, message, where, expected, got, hint = json.loads(file.read(_LONGEST_ERROR))
        raise _ERRORS.get(name, CorruptFileError)(message, where=where, expected=expected, got=got, hint=hint)


PROCESS = PickleProcess()
"""One for this process: it is costly to start, and holds nothing of the files that it has read."""
atexit.register(PROCESS.close)
