"""SIGTERM and SIGINT: nothing more is taken, what runs finishes or waits, the exit status is 0 (R4)."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from aiohttp import ClientSession

from tests.reliability.server_process import GONE, ServerProcess, check_disk, session, submit

SAVE = ("Save", {"name": "a.png"})
DRAIN_SECONDS = 0.4
LONGEST = 30.0


def prompt(random: Random) -> dict[str, Any]:
    """A job of up to half a second that can be stopped on the way, or (one in ten) cannot, and then a file."""
    count = random.choice((0, 1, 2, 5, 40))
    work = ("Deaf", {"seconds": 0.6}) if random.random() < 0.1 else ("Steps", {"count": count})
    return {str(i): {"class_type": t, "inputs": inputs} for i, (t, inputs) in enumerate((work, SAVE), 1)}


async def one_life(server: ServerProcess, client: ClientSession, random: Random, taken: set[str]) -> Counter[str]:
    """Start, submit, send a signal, and submit on until the server is gone. What the submissions were answered."""
    answers: Counter[str] = Counter()
    await server.start()
    number = random.choice((signal.SIGTERM, signal.SIGTERM, signal.SIGINT))
    told_at = monotonic() + random.uniform(0.0, 0.3)
    told = False
    while server.alive:
        job = f"life{server.starts}-{sum(answers.values())}"
        with suppress(*GONE):
            status = await submit(client, server.url, job, prompt(random))
            answers[f"{status} draining" if told else str(status)] += 1
            if status == 200:
                taken.add(job)
        if not told and monotonic() > told_at:
            server.send(number)
            told, told_at = True, monotonic()
        assert monotonic() - told_at < LONGEST
        await asyncio.sleep(0.05)
    assert await server.ended() == 0, number.name
    answers[number.name] += 1
    return answers


def stop(base: Path, times: int, seed: int = 1) -> Counter[str]:
    """Stop a server so often; in the end nothing that was taken is lost. Prints the answers."""

    async def whole() -> Counter[str]:
        random, taken, answers = Random(seed), set[str](), Counter[str]()
        server = ServerProcess(base, "--drain-seconds", str(DRAIN_SECONDS))
        try:
            async with session() as client:
                for _ in range(times):
                    answers += await one_life(server, client, random, taken)
                await server.start()
                await server.drained(client, 600)
                server.send(signal.SIGTERM)
                assert await server.ended() == 0
        finally:
            await server.kill()
        print(dict(answers), check_disk(base, taken))
        return answers

    return asyncio.run(whole())


def test_a_server_that_is_told_to_stop_does_and_loses_nothing(tmp_path: Path) -> None:
    answers = stop(tmp_path, 20)
    assert answers["200"] > 20
    assert answers["SIGTERM"] + answers["SIGINT"] == 20
    assert answers["503 draining"] > 0
    assert not [name for name in answers if name.split()[0] not in ("200", "503", "SIGTERM", "SIGINT")]
