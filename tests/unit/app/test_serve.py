"""How the server is told to listen, one server for a user directory, and what it logs."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.app import arguments
from engine.app.commands import serve
from engine.app.single import AlreadyRunningError, SingleInstance
from engine.foundation.logs import JsonFormatter, LogTail, set_up
from engine.server.config import ServerConfig


def configured(*argv: str) -> ServerConfig:
    _, options, _ = arguments.parse(list(argv))
    return serve.configuration(options)


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(serve.TOKEN_VARIABLE, raising=False)


def test_it_listens_to_this_machine_alone_unless_told() -> None:
    config = configured()
    assert (config.listen, config.port, config.token) == (("127.0.0.1",), 8188, None)


@pytest.mark.parametrize("listen", [["--listen"], ["--listen", "0.0.0.0"], ["--listen", "127.0.0.1,192.168.0.1"]])
def test_an_address_that_others_reach_needs_a_token(listen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(serve.ListenError, match="without a token"):
        configured(*listen)
    assert configured(*listen, "--token", "abc").token == "abc"
    monkeypatch.setenv(serve.TOKEN_VARIABLE, "from outside")
    assert configured(*listen).token == "from outside"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_loopback_addresses_need_none(address: str) -> None:
    assert configured("--listen", address).token is None


def test_a_token_is_made_anew_each_time_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = configured("--token", "auto"), configured("--token", "auto")
    assert one.token is not None
    assert len(one.token) >= 32
    assert one.token != other.token
    assert one.token not in repr(one)
    serve._tell_where(one, 1234)
    assert capsys.readouterr().out == f"Easel is at http://127.0.0.1:1234/?token={one.token}\n"


def test_every_site_is_no_origin() -> None:
    with pytest.raises(serve.ListenError, match="every site"):
        configured("--enable-cors-header", "*")
    assert configured("--enable-cors-header", "http://a.b:5173/").allowed_origins == ("http://a.b:5173",)


def test_there_is_one_worker_for_each_device() -> None:
    def devices(*argv: str) -> dict[str, Any]:
        _, options, settings = arguments.parse(["serve", *argv])
        found = serve.launches(settings, options.preview_method)
        return {name: launch.hello["settings"]["device"] for name, launch in found.items()}

    assert devices() == {"default": None}
    assert devices("--device", "cuda:0, cuda:1") == {"cuda:0": "cuda:0", "cuda:1": "cuda:1"}
    assert devices("--cpu") == {"cpu": "cpu"}


def test_the_server_never_imports_torch() -> None:
    code = "import sys, engine.app.commands.serve; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=arguments.ROOT, check=True)


def test_a_user_directory_belongs_to_one_server_at_a_time(tmp_path: Path) -> None:
    with SingleInstance(tmp_path / "user"):
        with pytest.raises(AlreadyRunningError, match="another server"), SingleInstance(tmp_path / "user"):
            pass
        with SingleInstance(tmp_path / "other"):
            pass
    with SingleInstance(tmp_path / "user"):
        pass


def test_a_server_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from engine.app.single import SingleInstance\n"
        "with SingleInstance(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=arguments.ROOT, check=False)
    with SingleInstance(tmp_path):
        pass


def logged(record: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    data: dict[str, Any] = json.loads(line)
    return data


def test_a_line_of_the_log_is_json_with_the_job_it_concerns() -> None:
    record = logging.LogRecord("easel", logging.WARNING, "f.py", 1, "two\nlines %s", ("x",), None)
    record.job = "j"
    data = logged(record)
    assert (data["level"], data["logger"], data["message"], data["job"]) == ("warning", "easel", "two\nlines x", "j")


def test_an_error_comes_with_its_traceback_in_the_log_but_not_in_the_tail() -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        record = logging.LogRecord("easel", logging.ERROR, "f.py", 1, "failed", (), sys.exc_info())
    tail = LogTail(2)
    for _ in range(3):
        tail.emit(record)
    assert "ZeroDivisionError" in logged(record)["error"]
    assert [entry.text for entry in tail.entries()] == ["ERROR: failed"] * 2
    assert "Traceback" not in "".join(tail.lines())


def test_set_up_keeps_lines_and_hushes_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    try:
        tail = set_up()
        logging.getLogger("easel").info("hello")
        logging.getLogger("aiohttp.access").info("/?token=secret")
        assert [entry.text for entry in tail.entries()] == ["INFO: hello"]
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
