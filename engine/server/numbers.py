"""The numbers that order the queue: a counter that goes on where the waiting jobs of an earlier process ended."""

from __future__ import annotations

import asyncio
import math

from engine.server.submission import Submission


class Numbers:
    """Counts prompts, also those that turn out not to be valid. Whoever asks before `begin` waits for it."""

    def __init__(self) -> None:
        self._next = 0
        self._begun = asyncio.Event()

    def begin(self, highest: float | None) -> None:
        """Count on from the highest number in the queue, from 0 if there is none."""
        self._next = 0 if highest is None else max(math.floor(highest) + 1, 0)
        self._begun.set()

    async def take(self, wanted: Submission) -> float:
        """The number of a submission: its own, or the next one; to get to the front it is made negative."""
        if wanted.number is not None:
            return wanted.number
        await self._begun.wait()
        number = self._next
        self._next += 1
        return -number if wanted.front else number
