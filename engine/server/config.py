"""How the server listens and whom it trusts: plain data, made once from the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """`allowed_hosts` are names beside the loopback's for this server; `allowed_origins` are sites that may use it.

    Without a `token` only loopback addresses may be listened on. `web` is the built editor, `templates` a folder of
    example workflows, where there are such.
    """

    listen: tuple[str, ...] = ("127.0.0.1",)
    port: int = 8188
    token: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_upload_bytes: int = 100 * MEBIBYTE
    drain_seconds: float = 25.0
    web: Path | None = None
    templates: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """What `/system_stats` tells of the process: version, arguments."""
