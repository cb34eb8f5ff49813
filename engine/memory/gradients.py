"""Gradients through a net whose weights stay as they are: with respect to what it is given.

Nets compute without gradients, unless somebody in the same context wants them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_WANTED: ContextVar[bool] = ContextVar("gradients", default=False)


@contextmanager
def gradients() -> Iterator[None]:
    """A block in which nets may be differentiated, for as long as they are leased."""
    token = _WANTED.set(True)
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        _WANTED.reset(token)


@contextmanager
def computing() -> Iterator[None]:
    """A block in which a net computes: without gradients, unless they are wanted."""
    with torch.inference_mode(mode=not wanted()):
        yield


def wanted() -> bool:
    """Whether this is within a block of `gradients`."""
    return _WANTED.get()
