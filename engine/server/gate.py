"""The one gate that every request and every socket passes: host, origin, fetch metadata, content type, token.

A page of another site can make a browser send requests here. Browsers then say so (`Origin`, `Sec-Fetch-Site`), and a
name that was made to point here (DNS rebinding) is in `Host`. Programs send none of that and are let in by host alone.
Decisions are pure functions of what a request says; `gate` asks them.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from engine.foundation.errors import EaselError
from engine.server.config import ServerConfig
from engine.server.errors import Handler

OPEN_PATHS = frozenset({"/healthz", "/api/healthz"})
PAGES = frozenset({"/", "/index.html"})
COOKIE = "easel_token"
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d{1,5}))?")
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_BODY_TYPES = ("application/json", "application/octet-stream")
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class RefusedError(EaselError):
    """A request that another site, or a name that only points here, may have caused."""

    code: ClassVar[str] = "refused"


class UnauthorisedError(EaselError):
    """A request without the token."""

    code: ClassVar[str] = "unauthorised"


@dataclass(frozen=True, slots=True)
class Visit:
    """What the gate looks at of a request. `headers` has lower-case names, each at most once."""

    method: str
    path: str
    headers: Mapping[str, str]
    token: str | None = None


def refusal(visit: Visit, config: ServerConfig) -> EaselError | None:
    """Why a visit is refused, None if it is welcome."""
    host = visit.headers.get("host", "")
    if not is_known_host(host, config):
        return RefusedError(
            "this host name is not served here", where="Host", got=host[:80], hint="Add it with --allow-host."
        )
    foreign = _foreign(visit, host, config)
    if foreign is not None:
        return foreign
    if config.token is not None and visit.path not in OPEN_PATHS and not _same(visit.token, config.token):
        return UnauthorisedError("this server wants its token", hint="Open the address with the token that it printed.")
    return None


def is_known_host(host: str, config: ServerConfig) -> bool:
    """Whether a `Host` header names this server: the loopback, an address it listens on, or a name that was allowed."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found["name"].strip("[]").lower()
    if name in config.allowed_hosts or name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if str(address) != name and not isinstance(address, ipaddress.IPv6Address):
        return False
    # An address is not a name that anybody could make point here; it must still be one this server was told to use.
    return address.is_loopback or name in config.listen or any(_is_any(listened) for listened in config.listen)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach `address`."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _foreign(visit: Visit, host: str, config: ServerConfig) -> EaselError | None:
    """The refusal of a visit that another site caused."""
    origin = visit.headers.get("origin")
    if origin is not None and not _is_own(origin, host, config):
        return RefusedError("requests of other sites are refused", where="Origin", got=origin[:80])
    fetched = visit.headers.get("sec-fetch-site")
    allowed = origin in config.allowed_origins or _is_visit_of_page(visit)
    if fetched not in (None, "same-origin", "none") and not allowed:
        return RefusedError("requests of other sites are refused", where="Sec-Fetch-Site", got=str(fetched)[:80])
    if visit.method in _WRITES and not _has_plain_body(visit):
        got = visit.headers.get("content-type", "nothing")[:80]
        expected = " or ".join(_BODY_TYPES)
        return RefusedError("a browser's form is no request", where="Content-Type", got=got, expected=expected)
    return None


def _is_own(origin: str, host: str, config: ServerConfig) -> bool:
    if origin in config.allowed_origins:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:  # an address in brackets that is none
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() and not parts.path


def _is_visit_of_page(visit: Visit) -> bool:
    """Following a link to the editor from another site is harmless: the page itself holds nothing."""
    return visit.method in ("GET", "HEAD") and visit.path in PAGES and visit.headers.get("sec-fetch-mode") == "navigate"


def _has_plain_body(visit: Visit) -> bool:
    """Forms of a page can send any of three types without asking first; programs that say nothing of a type may.

    The community's own example scripts send JSON as `application/x-www-form-urlencoded`, so a request that bears no
    trace of a browser is not judged by its type.
    """
    kind = visit.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _BODY_TYPES or visit.headers.get("content-length") == "0":
        return True
    if "origin" in visit.headers:
        return True  # our own page, as its origin was checked
    traces = ("sec-fetch-site", "referer", "cookie")
    agent = visit.headers.get("user-agent", "").lower()
    return not any(trace in visit.headers for trace in traces) and "mozilla" not in agent


def _same(given: str | None, token: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _is_any(address: str) -> bool:
    return address in ("0.0.0.0", "::", "")


def gate(config: ServerConfig) -> Middleware:
    """The middleware that lets welcome visits through."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = refusal(_visit(request), config)
        if refused is not None:
            raise refused
        if request.method == "OPTIONS":
            return web.Response()
        login = _login(request, config)
        if login is not None:
            return login
        return await handler(request)

    return middleware


def guard(config: ServerConfig) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What is done to every answer before it goes: browsers are told to keep to themselves what they are given."""

    async def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
        for name, value in _SAFE_HEADERS.items():
            answer.headers.setdefault(name, value)
        origin = request.headers.get("Origin")
        if origin is not None and origin in config.allowed_origins:
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE, OPTIONS"
            answer.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization"
            answer.headers["Vary"] = "Origin"
            answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    return add_headers


def _visit(request: web.Request) -> Visit:
    """What a request says. A header that is given twice counts as what it says in all, which nothing allows."""
    headers = {name.lower(): ", ".join(request.headers.getall(name)) for name in set(request.headers)}
    return Visit(request.method, request.path, headers, _token(request))


def _token(request: web.Request) -> str | None:
    """The token from a program's header, a browser's cookie, or the address of a login or a socket."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if request.path in PAGES or request.path in ("/ws", "/api/ws"):
        return request.query.get("token") or request.cookies.get(COOKIE)
    return request.cookies.get(COOKIE)


def _login(request: web.Request, config: ServerConfig) -> web.Response | None:
    """The page opened with the token in its address: the browser keeps it in a cookie, and the address forgets it."""
    if config.token is None or request.path not in PAGES or "token" not in request.query:
        return None
    answer = web.Response(status=303, headers={"Location": "/"})
    answer.set_cookie(COOKIE, config.token, httponly=True, samesite="Strict", path="/")
    return answer
