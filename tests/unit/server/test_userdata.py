"""The user's files and settings over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from engine.server.routes.userdata import ROUTES
from tests.unit.server.serving import TRAVERSALS, Client, one, served


def ask(base: Path, method: str, url: str, data: bytes | None = None) -> tuple[int, Any]:
    status, _, body = one(base, ROUTES, method, url, data=data)
    return status, json.loads(body) if body else None


def test_a_workflow_is_saved_listed_read_moved_and_deleted(tmp_path: Path) -> None:
    assert ask(tmp_path, "POST", "/userdata/workflows%2Fa%20b.json", b'{"x": 1}') == (200, "workflows/a b.json")
    assert ask(tmp_path, "GET", "/userdata?dir=workflows") == (200, ["a b.json"])
    assert ask(tmp_path, "GET", "/userdata/workflows%2Fa%20b.json") == (200, {"x": 1})
    moved = ask(tmp_path, "POST", "/userdata/workflows%2Fa%20b.json/move/workflows%2Fold%2Fc.json")
    assert moved == (200, "workflows/old/c.json")
    assert ask(tmp_path, "GET", "/userdata?dir=workflows&recurse=true&split=true") == (
        200,
        [["old/c.json", "old", "c.json"]],
    )
    assert ask(tmp_path, "DELETE", "/userdata/workflows%2Fold%2Fc.json") == (204, None)
    for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/move/x")):
        assert ask(tmp_path, method, f"/userdata/workflows%2Fold%2Fc.json{rest}")[0] == 404


def test_full_info_tells_size_and_times_in_milliseconds(tmp_path: Path) -> None:
    status, info = ask(tmp_path, "POST", "/userdata/w%2Fa?full_info=true", b"12345")
    assert (status, info["path"], info["size"]) == (200, "w/a", 5)
    assert info["modified"] == (tmp_path / "user/default/w/a").stat().st_mtime_ns // 1_000_000
    assert ask(tmp_path, "GET", "/userdata?dir=w&full_info=true") == (200, [{**info, "path": "a"}])
    assert ask(tmp_path, "POST", "/userdata/w%2Fa/move/b?full_info=true")[1]["path"] == "b"


def test_the_second_listing_tells_files_and_folders(tmp_path: Path) -> None:
    assert ask(tmp_path, "GET", "/v2/userdata") == (200, [])
    ask(tmp_path, "POST", "/userdata/w%2Fa", b"1")
    assert ask(tmp_path, "GET", "/v2/userdata") == (200, [{"name": "w", "path": "w", "type": "directory"}])
    (entry,) = ask(tmp_path, "GET", "/v2/userdata?path=w")[1]
    assert {**entry, "modified": 0} == {"name": "a", "path": "w/a", "type": "file", "size": 1, "modified": 0}


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?dir=", 400), ("?dir=none", 404), ("?dir=..", 403), ("?dir=/", 403), ("?dir=.", 200)],
)
def test_listing_answers_with_the_statuses_of_the_contract(tmp_path: Path, query: str, status: int) -> None:
    assert ask(tmp_path, "GET", f"/userdata{query}")[0] == status


def test_a_taken_name_is_a_conflict_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    for name in "ab":
        ask(tmp_path, "POST", f"/userdata/{name}", name.encode())
    assert ask(tmp_path, "POST", "/userdata/a?overwrite=false", b"new")[0] == 409
    assert ask(tmp_path, "POST", "/userdata/b/move/a?overwrite=false")[0] == 409
    assert (tmp_path / "user/default/a").read_bytes() == b"a"
    assert ask(tmp_path, "POST", "/userdata/b/move/a")[0] == 200
    assert (tmp_path / "user/default/a").read_bytes() == b"b"


@pytest.mark.parametrize("payload", [name for name in TRAVERSALS if name not in (".", "..")])
def test_no_name_leads_out(tmp_path: Path, payload: str) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user/secret.txt").write_text("secret")
    written = quote(payload, safe="")
    for method, url in (
        ("GET", f"/userdata/{written}"),
        ("POST", f"/userdata/{written}"),
        ("DELETE", f"/userdata/{written}"),
        ("POST", f"/userdata/{written}/move/x"),
        ("GET", f"/userdata?dir={written}"),
        ("GET", f"/v2/userdata?path={written}"),
    ):
        status, body = ask(tmp_path, method, url, b"evil" if method == "POST" else None)
        assert status == 403, (method, url)
        assert str(tmp_path) not in json.dumps(body)
    assert (tmp_path / "user/secret.txt").read_text() == "secret"
    assert [path.name for path in (tmp_path / "user").iterdir()] == ["secret.txt"]


@pytest.mark.parametrize("payload", TRAVERSALS)
def test_names_encoded_twice_or_badly_are_names_or_refused(tmp_path: Path, payload: str) -> None:
    for written in (quote(quote(payload, safe=""), safe=""), f"%FF{quote(payload, safe='')}", "%2e%2e%2fsecret"):
        assert ask(tmp_path, "POST", f"/userdata/{written}", b"x")[0] in (200, 403, 404)
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and tmp_path / "user/default" not in path.parents]
    assert outside == []


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.js", "a.json", "a.png", "a.pdf", "a"])
def test_nothing_of_the_user_is_ever_shown_as_a_page(tmp_path: Path, name: str) -> None:
    ask(tmp_path, "POST", f"/userdata/{name}", b"<script>alert(1)</script>")
    _, headers, _ = one(tmp_path, ROUTES, "GET", f"/userdata/{name}")
    expected = "application/json" if name == "a.json" else "application/octet-stream"
    assert headers["Content-Type"] == expected
    assert headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_settings_are_kept_one_by_one_and_together(tmp_path: Path) -> None:
    assert ask(tmp_path, "GET", "/settings") == (200, {})
    assert ask(tmp_path, "GET", "/settings/a.b") == (200, None)
    assert ask(tmp_path, "POST", "/settings", b'{"a.b": 1, "c": [true]}') == (200, None)
    assert ask(tmp_path, "POST", "/settings/a.b", b'{"deep": "\\u00e4"}') == (200, None)
    assert ask(tmp_path, "GET", "/settings") == (200, {"a.b": {"deep": "ä"}, "c": [True]})
    assert ask(tmp_path, "GET", "/settings/c") == (200, [True])


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 100])
def test_settings_that_are_no_object_are_refused(tmp_path: Path, body: bytes) -> None:
    assert ask(tmp_path, "POST", "/settings", body)[0] == 400
    assert ask(tmp_path, "GET", "/settings") == (200, {})


def test_racing_settings_are_all_kept(tmp_path: Path) -> None:
    async def work(client: Client) -> dict[str, Any]:
        async def put(number: int) -> None:
            async with client.post(f"/settings/s{number}", data=str(number).encode()) as answer:
                assert answer.status == 200

        await asyncio.gather(*map(put, range(40)))
        async with client.get("/settings") as answer:
            return dict(await answer.json())

    assert served(tmp_path, ROUTES, work) == {f"s{number}": number for number in range(40)}


def test_there_is_one_user(tmp_path: Path) -> None:
    assert ask(tmp_path, "GET", "/users") == (200, {"storage": "server", "migrated": False})
    ask(tmp_path, "POST", "/settings", b'{"a": 1}')
    assert ask(tmp_path, "GET", "/users") == (200, {"storage": "server", "migrated": True})
    assert ask(tmp_path, "POST", "/users", b'{"username": "eve"}')[0] == 400


def test_a_body_above_the_limit_is_refused(tmp_path: Path) -> None:
    status, _, _ = one(tmp_path, ROUTES, "POST", "/userdata/a", data=bytes(2000), max_upload_bytes=1000)
    assert status == 413
