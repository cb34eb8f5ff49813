from __future__ import annotations

import asyncio
from pathlib import Path

from tests.reliability.kills import Killing
from tests.reliability.server_process import ServerProcess


def kill(base: Path, kills: int, seed: int = 1) -> dict[str, int]:
    """Kills at random moments and at chosen places; prints what came of them."""

    async def whole() -> dict[str, int]:
        server = ServerProcess(base, "--max-history", "10000000", "--max-queue", "1000000")
        killing = Killing(server, kills, seed)
        try:
            account = await killing.run()
        finally:
            await server.kill()
        print(account, dict(killing.by))
        return account

    return asyncio.run(whole())


def test_no_acknowledged_job_is_lost_or_done_twice_by_kills_of_server_and_worker(tmp_path: Path) -> None:
    account = kill(tmp_path, 50)
    assert account["acknowledged"] > 50
