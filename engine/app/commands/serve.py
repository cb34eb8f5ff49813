"""`main.py` without a command, or `main.py serve`: the server and its workers."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import platform
import secrets
import signal
import sys
from dataclasses import replace
from typing import Any, ClassVar

from aiohttp import web

from engine.app import catalogue
from engine.app.arguments import ROOT
from engine.app.single import SingleInstance
from engine.foundation.errors import EaselError
from engine.foundation.logs import LogTail, set_up
from engine.foundation.settings import Settings, settings_to_json
from engine.jobs.child import Launch, Limits
from engine.jobs.children import ChildExecutor
from engine.jobs.committer import Committer, StoreUnavailableError
from engine.jobs.dispatcher import JobEnded, Notice
from engine.jobs.store import JobStore
from engine.server.app import make_app
from engine.server.config import ServerConfig
from engine.server.gate import is_loopback
from engine.server.state import STATE
from engine.store.durable import empty_folder
from engine.store.journal import remove_journal, remove_stale_journals

VERSION = "0.1.0"
PROTOCOL_VERSION = "0.8.0"  # of the community's server whose protocol this one speaks
TOKEN_VARIABLE = "EASEL_TOKEN"
_log = logging.getLogger(__name__)


class ListenError(EaselError):
    """An address that cannot be listened on, or must not be without a token."""

    code: ClassVar[str] = "bad_address"


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Serve until told to stop. Raises `ListenError` if the address will not do."""
    config = configuration(options)
    logs = set_up()
    with SingleInstance(settings.user):
        empty_folder(settings.temp)
        limits = {"max_waiting": options.max_queue, "max_history": options.max_history}
        committer = Committer(settings.user / "jobs.sqlite3", **limits)
        try:
            asyncio.run(_serve(options, settings, config, committer, logs))
        finally:
            committer.close()
    return 0


def configuration(options: argparse.Namespace) -> ServerConfig:
    """How to listen. Raises `ListenError` for an address that others can reach without a token."""
    listen = tuple(address.strip() for address in options.listen.split(",") if address.strip())
    token = options.token or os.environ.get(TOKEN_VARIABLE) or None
    if token == "auto":
        token = secrets.token_urlsafe(24)
    open_to_others = [address for address in listen if not is_loopback(address)]
    if open_to_others and token is None:
        raise ListenError(
            "others could use this server without a token",
            where="--listen",
            got=", ".join(open_to_others),
            hint="Add --token auto (it is made and printed), or a token of your own.",
        )
    if any(origin == "*" for origin in options.enable_cors_header):
        raise ListenError(
            "every site could use this server",
            where="--enable-cors-header",
            got="*",
            expected="the origins that may, such as http://localhost:5173",
        )
    facts = {
        "os": os.name,
        "comfyui_version": PROTOCOL_VERSION,
        "easel_version": VERSION,
        "required_frontend_version": None,
        "installed_templates_version": None,
        "required_templates_version": None,
        "python_version": platform.python_version(),
        "embedded_python": False,
        "argv": ["main.py"],
    }
    built = ROOT / "web" / "dist"
    return ServerConfig(
        listen=listen,
        port=options.port,
        token=token,
        allowed_hosts=tuple(name.lower() for name in options.allow_host),
        allowed_origins=tuple(origin.rstrip("/") for origin in options.enable_cors_header),
        max_upload_bytes=int(options.max_upload_size * 2**20),
        drain_seconds=options.drain_seconds,
        web=built if built.is_dir() else None,
        templates=ROOT / "workflows",
        facts=facts,
    )


async def _serve(
    options: argparse.Namespace, settings: Settings, config: ServerConfig, committer: Committer, logs: LogTail
) -> None:
    told = _told_to_stop(config.drain_seconds)

    def forget_journal(notice: Notice) -> None:
        if isinstance(notice, JobEnded):
            remove_journal(settings.user, notice.job.id)

    limits = Limits(silence=options.hang_seconds, stall=options.stall_seconds)
    app = make_app(
        settings,
        config,
        committer=committer,
        executor=ChildExecutor(launches(settings, options.preview_method), limits),
        read_specs=lambda: catalogue.known_specs(settings),
        listeners=(forget_journal,),
        logs=logs,
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    try:
        port = await _listen(runner, config)
        _tell_where(config, port)
        await _tidy_journals(settings, committer)
        grace = await told
        _log.info("stopping: jobs that run have %.0f s to finish, then they wait for the next start", grace)
        await app[STATE].dispatcher.drain(grace)
    finally:
        await runner.cleanup()


def launches(settings: Settings, preview_method: str) -> dict[str, Launch]:
    """How to start the worker of each device; without `--device` there is one, which takes the best device."""
    devices = [name.strip() for name in (settings.device or "").split(",") if name.strip()]
    argv = (sys.executable, "-m", "engine.app.worker")

    def launch(device: str | None) -> Launch:
        hello: dict[str, Any] = {"settings": settings_to_json(replace(settings, device=device))}
        return Launch(argv, hello | {"preview_method": preview_method}, cwd=ROOT)

    return {device: launch(device) for device in devices} or {"default": launch(None)}


async def _listen(runner: web.AppRunner, config: ServerConfig) -> int:
    """Listen on every address. The port, which the system chooses if it was given as 0."""
    port = config.port
    for address in config.listen:
        site = web.TCPSite(runner, address, port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise ListenError(
                "this address cannot be listened on",
                where="--listen and --port",
                got=f"{address}, port {port}: {error.strerror or error}",
                hint="Is Easel or ComfyUI running already? Choose another --port.",
            ) from error
        port = port or int(runner.addresses[0][1])
    return port


def _tell_where(config: ServerConfig, port: int) -> None:
    for address in config.listen:
        shown = "127.0.0.1" if address in ("0.0.0.0", "::") else address
        host = f"[{shown}]" if ":" in shown else shown
        token = f"/?token={config.token}" if config.token else "/"
        sys.stdout.write(f"Easel is at http://{host}:{port}{token}\n")
    sys.stdout.flush()


async def _tidy_journals(settings: Settings, committer: Committer) -> None:
    """Remove the journals of jobs that have ended; in the store's thread, so that no job begins one meanwhile."""

    def tidy(store: JobStore) -> None:
        remove_stale_journals(settings.user, [job.id for jobs in store.queue() for job in jobs])

    try:
        await committer.do(tidy)
    except (StoreUnavailableError, OSError) as error:
        _log.warning("journals of jobs that have ended stay: %s", error)


def _told_to_stop(grace: float) -> asyncio.Future[float]:
    """From now on wait for a signal. The seconds for running jobs: none at the keyboard, where somebody waits."""
    told: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def stop(seconds: float) -> None:
        if not told.done():
            told.set_result(seconds)

    loop = asyncio.get_running_loop()
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGINT, 0.0)):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends the loop instead
            loop.add_signal_handler(number, stop, seconds)
    return told
