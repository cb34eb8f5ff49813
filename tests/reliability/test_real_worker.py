"""The account after kills, with the worker that people use and a node pack of their own (R1, R2)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from tests.reliability.kills import Killing
from tests.reliability.server_process import REAL, ServerProcess

PACK = '''
from engine.node import NodeContext, PLAIN, node
import time


@node("SlowNote", category="test", sink=True, cache=False)
def slow_note(text: str = "", ctx: NodeContext = PLAIN) -> None:
    """Saves a text after a while."""
    time.sleep(0.02)
    ctx.save(text.encode() + b"\\n", "note", ".png")
'''


def kill_real(base: Path, kills: int) -> dict[str, int]:
    """As `test_kills.kill`, but with `main.py serve` as it is."""
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "slow_note.py").write_text(PACK)

    def prompt(random: Random) -> dict[str, Any]:
        return {"1": {"class_type": "SlowNote", "inputs": {"text": f"note {random.random()}"}}}

    async def whole() -> dict[str, int]:
        server = ServerProcess(base, "--cpu", program=REAL)
        killing = Killing(server, kills, seed=3, prompt=prompt, places=False, idle=(0.2, 0.5))
        try:
            return await killing.run(pause=(5.0, 7.0))  # a worker that knows no node types yet takes two seconds
        finally:
            await server.kill()

    account = asyncio.run(whole())
    print(account)
    return account


def test_the_real_worker_loses_and_doubles_nothing_either(tmp_path: Path) -> None:
    assert kill_real(tmp_path, 3)["acknowledged"] > 10
