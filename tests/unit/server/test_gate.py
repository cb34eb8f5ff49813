"""The gate: hosts, origins, fetch metadata, content types and tokens, against every route there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError, web

from engine.server.config import ServerConfig
from engine.server.gate import OPEN_PATHS, Visit, is_known_host, refusal
from tests.unit.server.world import World, serve

OPEN = ServerConfig()
LAN = ServerConfig(listen=("0.0.0.0",), token="t" * 32, allowed_hosts=("studio.example",))
GOOD_HOSTS = ["localhost", "localhost:8188", "127.0.0.1:8188", "127.0.0.2", "[::1]:8188", "LOCALHOST:1", "127.0.0.1"]
BAD_HOSTS = [
    *("", "evil.example", "evil.example:8188", "localhost.evil.example", "localhost.", "127.0.0.1.evil.example"),
    *("127.0.0.1.", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "0.0.0.0", "[::]", "[::ffff:8.8.8.8]"),
    *("user@localhost", "localhost@evil.example", "localhost:8188@evil.example", "localhost#evil", "localhost/evil"),
    *("localhost, evil.example", "evil.example, localhost", " localhost", "localhost ", "localhost\t", "local host"),
    *("192.168.1.5:8188", "10.0.0.1", "8.8.8.8", "[fe80::1]", "[::1", "::1", "[]", "127.0.0.1:", "127.0.0.1:port"),
    *("127.0.0.1:999999", "xn--localhost-9ya", "lоcalhost", "localhost%00.evil", "rebind.network"),
    "1.0.0.127.in-addr.arpa",
]  # fmt: skip


def visit(method: str = "GET", path: str = "/prompt", token: str | None = None, **headers: str) -> Visit:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Visit(method, path, {"host": "127.0.0.1:8188"} | named, token)


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_names_of_this_machine_are_known(host: str) -> None:
    assert is_known_host(host, OPEN)


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_other_names_are_not(host: str) -> None:
    assert not is_known_host(host, OPEN)


def test_a_network_server_is_known_by_its_addresses_and_by_allowed_names() -> None:
    assert is_known_host("192.168.1.5:8188", LAN)
    assert is_known_host("Studio.Example:8188", LAN)
    assert not is_known_host("evil.example", LAN)
    assert not is_known_host("studio.example.evil", LAN)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://localhost:8188"},
        {"origin": "file://"},
        {"origin": "http://[::1"},
        {"origin": "http://[x]"},
        {"origin": "http://127.0.0.1:8188/path"},
        {"origin": "http://127.0.0.1:8188, http://evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1:8188"},
        {"content_type": "text/plain", "sec_fetch_site": "cross-site"},
        {"content_type": "text/plain", "referer": "http://evil.example"},
        {"content_type": "text/plain", "cookie": "a=b"},
        {"content_type": "application/x-www-form-urlencoded", "user_agent": "Mozilla/5.0"},
        {"content_type": "multipart/form-data; boundary=x", "user_agent": "Mozilla/5.0"},
        {"host": "evil.example", "origin": "http://evil.example"},
    ],
)
def test_what_another_site_can_make_a_browser_send_is_refused(headers: dict[str, str]) -> None:
    refused = refusal(visit("POST", **headers), OPEN)
    assert refused is not None
    assert refused.code == "refused"


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "application/json"},
        {"content_type": "application/x-www-form-urlencoded", "user_agent": "Python-urllib/3.11"},
        {"content_type": "multipart/form-data; boundary=x", "user_agent": "python-requests/2.32"},
        {"content_type": "text/plain;charset=UTF-8", "user_agent": "node", "sec_fetch_mode": "cors"},
        {"content_type": "application/json", "origin": "http://127.0.0.1:8188", "sec_fetch_site": "same-origin"},
        {"content_type": "text/plain", "origin": "http://127.0.0.1:8188", "user_agent": "Mozilla/5.0"},
    ],
)
def test_programs_and_our_own_page_are_welcome(headers: dict[str, str]) -> None:
    assert refusal(visit("POST", **headers), OPEN) is None


def test_a_link_from_another_site_opens_the_editor_and_nothing_else() -> None:
    followed = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert refusal(visit(path="/", **followed), OPEN) is None
    assert refusal(visit(path="/view", **followed), OPEN) is not None
    assert refusal(visit("POST", path="/", content_type="application/json", **followed), OPEN) is not None


def test_allowing_a_site_lets_in_that_one_alone() -> None:
    config = ServerConfig(allowed_origins=("http://localhost:5173",))
    assert refusal(visit("POST", origin="http://localhost:5173", sec_fetch_site="same-site"), config) is None
    assert refusal(visit("POST", origin="http://localhost:5174"), config) is not None
    assert refusal(visit(host="evil.example", origin="http://localhost:5173"), config) is not None


@pytest.mark.parametrize("token", [None, "", "t", "t" * 31, "t" * 33, "T" * 32, "é" * 32, "\ud800"])
def test_a_wrong_token_is_none(token: str | None) -> None:
    refused = refusal(visit(token=token), LAN)
    assert refused is not None
    assert refused.code == "unauthorised"


def test_the_right_token_opens_and_health_needs_none() -> None:
    assert refusal(visit(token="t" * 32), LAN) is None
    assert refusal(visit(path="/healthz"), LAN) is None


def routes_of(app: web.Application) -> list[tuple[str, str]]:
    """Every method and path of the application, with something in place of each parameter."""
    found = []
    for route in app.router.routes():
        path = re.sub(r"{[^}]*}", "x", route.resource.canonical if route.resource else "/")
        found.append((route.method, path))
    return found


def test_no_route_answers_a_foreign_host_or_site(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        seen = []
        app = world.client.server.app  # type: ignore[attr-defined]
        for method, path in routes_of(app):
            for headers in (
                {"Host": "evil.example"},
                {"Origin": "http://evil.example"},
                {"Sec-Fetch-Site": "cross-site"},
            ):
                answer = await world.client.request(
                    method, path, headers=headers, json={} if method == "POST" else None
                )
                seen.append((method, path, headers, answer.status))
        return seen

    seen = serve(tmp_path, work)
    assert len(seen) > 200
    assert [entry for entry in seen if entry[3] != 403] == []


def test_every_route_but_health_wants_the_token(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        seen = []
        for method, path in routes_of(world.client.server.app):  # type: ignore[attr-defined]
            answer = await world.client.request(
                method, path, headers={"Authorization": "Bearer wrong"}, json={} if method == "POST" else None
            )
            seen.append((path, answer.status, "t" * 32 in await answer.text()))
        return seen

    seen = serve(tmp_path, work, config=ServerConfig(token="t" * 32))
    assert {path for path, status, _ in seen if status != 401} == OPEN_PATHS
    assert not any(leaked for _, _, leaked in seen)


def test_a_foreign_socket_is_refused(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        statuses = []
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
            with pytest.raises(WSServerHandshakeError) as refused:
                await world.client.ws_connect("/ws", headers=headers)
            statuses.append(refused.value.status)
        return statuses

    assert serve(tmp_path, work) == [403, 403, 403]


def test_a_browser_logs_in_with_the_address_that_was_printed(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        session = world.client.session
        session.headers.pop("Authorization", None)
        url = world.client.make_url("/")
        plain = await session.get(url)
        login = await session.get(url.with_query(token="t" * 32), allow_redirects=False)
        after = await session.get(url)
        return plain.status, login, after.status

    plain, login, after = serve(tmp_path, work, config=ServerConfig(token="t" * 32))
    assert (plain, login.status, login.headers["Location"], after) == (401, 303, "/", 200)
    cookie = login.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_answers_tell_browsers_to_keep_them_to_themselves(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        return [await world.client.get(path) for path in ("/", "/queue", "/nothing", "/prompt")]

    for answer in serve(tmp_path, work):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_options_answer_200_and_allow_a_chosen_site_alone(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        chosen = await world.client.options("/prompt", headers={"Origin": "http://localhost:5173"})
        return await world.client.options("/prompt"), chosen

    plain, chosen = serve(tmp_path, work, config=ServerConfig(allowed_origins=("http://localhost:5173",)))
    assert plain.status == chosen.status == 200
    assert chosen.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"


def test_an_unforeseen_failure_says_nothing_of_the_inside(tmp_path: Path) -> None:
    async def work(world: World) -> Any:
        def broken(*_: Any) -> Any:
            raise RuntimeError(f"secret at {tmp_path}")

        world.state.nodes._describe = broken  # type: ignore[method-assign]
        answer = await world.client.get("/object_info")
        return answer.status, await answer.text()

    status, text = serve(tmp_path, work)
    assert status == 500
    assert json.loads(text)["error"]["type"] == "internal"
    assert str(tmp_path) not in text
    assert "secret" not in text
