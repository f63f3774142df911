"""What every request passes, before anything of it is looked at: who may ask, how much, and a log.

Films of a body are counted by `uploads`; what is answered is left to `http`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum.serving.rejection import Kind, Rejected
from hilum.serving.service import Service
from hilum.serving.settings import LOOPBACK
from hilum.serving.uploads import FORM, too_large

_log = logging.getLogger(__name__)

TAKES_FILMS = ("/v1/predict", "/v1/explain", "/v1/picture")
ROUTES = (
    *TAKES_FILMS,
    *("/v1/bundle", "/v1/bundle/card", "/v1/bundle/report"),
    *("/healthz", "/readyz", "/metrics", "/openapi.json", "/"),
)
_SECURITY: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-frame-options": "SAMEORIGIN",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{0,5})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_GONE = 499  # of the log alone: the client went away
_DRAIN_TIME = 2.0
_DRAIN = 1 << 18  # bytes of a refused body that are read, so that its sender reads the refusal


@dataclass(frozen=True)
class Door:
    """Who may come in. token: that API and metrics want; None: anybody on this machine.

    hosts: names under which the service may be asked; None: any
    """

    token: str | None = None
    hosts: tuple[str, ...] | None = LOOPBACK

    def open_to(self, path: str, headers: Headers, scheme: str) -> None:
        """Raises Rejected for whom it is not."""
        names = headers.getlist("host")
        if self.hosts is not None and (len(names) != 1 or _name(names[0]) not in self.hosts):
            # A page of another site whose name was made to mean this machine.
            raise Rejected(Kind.MALFORMED, "asked under a name that is not this service's")
        origin = headers.get("origin")
        if origin is not None and origin != f"{scheme}://{headers.get('host', '')}":
            raise Rejected(Kind.FORBIDDEN, "asked by a page of another site")
        if headers.get("sec-fetch-site") == "cross-site" and not _static(path):
            raise Rejected(Kind.FORBIDDEN, "asked by a page of another site")
        if self.token is None or _static(path) or path in ("/healthz", "/readyz"):
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode(), self.token.encode())
        if kind.lower() != "bearer" or not known:
            raise Rejected(Kind.UNAUTHORISED, "expected a bearer token")


def problem(no: Rejected, **more: object) -> JSONResponse:
    """A refusal in the form of RFC 9457."""
    headers = {}
    if no.retry_after_s is not None:
        headers["retry-after"] = str(no.retry_after_s)
    if no.kind is Kind.UNAUTHORISED:
        headers["www-authenticate"] = "Bearer"
    return problem_of(no.kind.type, no.kind.status, no.detail, headers, **more)


def problem_of(
    kind: str, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    title = HTTPStatus(status).phrase
    content = {"type": f"urn:hilum:{kind}", "title": title, "status": status, "detail": detail}
    return JSONResponse({**content, **more}, status, headers, media_type="application/problem+json")


class Guard:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, service: Service, door: Door) -> None:
        self.app, self.service, self.door = app, service, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
                return
            await self.app(scope, receive, send)
            return
        began, route = time.monotonic(), _route(scope["path"])
        passage = _Passage(send, secrets.token_hex(8))
        scope.setdefault("state", {})["request_id"] = passage.id
        try:
            await self._pass(scope, receive, passage, route)
        except ClientDisconnect:
            passage.status = passage.status or _GONE
        except Exception as error:  # nothing of it may reach the client or another's log
            _log.error("internal error", exc_info=error, extra={"told": {"request": passage.id}})
            if not passage.status:
                no = problem_of("internal-error", 500, "the request failed; its id is in the log")
                await no(scope, receive, passage)
        seconds = time.monotonic() - began
        self.service.watch.request(route, passage.status, seconds)
        told = {
            "request": passage.id,
            "route": route,
            "status": passage.status,
            "ms": round(1000 * seconds, 1),
            "outcome": scope["state"].get("outcome", ""),
        }
        _log.info("request", extra={"told": told})

    async def _pass(self, scope: Scope, receive: Receive, send: Send, route: str) -> None:
        headers = Headers(scope=scope)
        try:
            if "content-length" in headers and "transfer-encoding" in headers:
                # A proxy may go by the one where we go by the other, RFC 9112 6.3.
                raise Rejected(Kind.MALFORMED, "a length and a transfer coding at once")
            self.door.open_to(scope["path"], headers, scope["scheme"])
            if _CONTROL.search(scope["path"]):  # the router takes a line's end for a path's
                missing = problem_of("no-such-thing", 404, "Not Found")
                await missing(scope, receive, send)
                return
            if scope["method"] != "POST" or route not in TAKES_FILMS:
                await self.app(scope, receive, send)
                return
            self._refuse_size(headers)
            self.service.refuse_new()
            self.service.take_on(1, 0)  # bytes count as they come: to tell of many costs nothing
        except Rejected as no:
            scope["state"]["outcome"] = no.kind.type
            await _refuse(no, scope, receive, send)
            return
        taken = scope["state"]["taken"] = Taken(self.service, 1, 0)
        try:
            await self.app(scope, receive, send)
        finally:
            taken.let_go()

    def _refuse_size(self, headers: Headers) -> None:
        """Raises Rejected for what says that it is too long, before a byte of it is read."""
        if "content-length" not in headers:
            return
        told = headers["content-length"]
        if not (told.isascii() and told.isdigit()):
            raise Rejected(Kind.MALFORMED, "a content length that is no number")
        limits = self.service.limits
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        limit = limits.body if kind == FORM else limits.film
        if int(told) > limit:
            raise too_large(limit)


@dataclass
class Taken:
    """What one request has been taken on with."""

    service: Service
    films: int
    size: int

    def more(self, films: int, size: int) -> None:
        """It turns out to be more. Raises Rejected where that is too much."""
        self.service.take_on(films, size)
        self.films += films
        self.size += size

    def let_go(self) -> None:
        self.service.let_go(self.films, self.size)


class _Passage:
    """Adds the headers that every response has, and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.id, self.status = send, request_id, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _SECURITY.items():
                headers.setdefault(name, value)
            headers["x-request-id"] = self.id
        await self._send(message)


async def _refuse(no: Rejected, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request whose body was not read; a little of it is, and then the line is cut."""
    headers = Headers(scope=scope)
    coded = "transfer-encoding" in headers
    left, more = _DRAIN, coded or scope["method"] in ("POST", "PUT", "PATCH")
    told = headers.get("content-length", "")
    if not coded and told.isdigit() and int(told) <= _DRAIN:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_TIME):
                while more and left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)
    response = problem(no)
    if more:
        response.headers["connection"] = "close"
    await response(scope, receive, send)


def _static(path: str) -> bool:
    return path == "/" or path.startswith("/page/")


def _route(path: str) -> str:
    """The path as logs and metrics know it: never what a client made up."""
    if path.startswith("/page/"):
        return "/page"
    return path if path in ROUTES else "other"


def _name(host: str) -> str:
    """A Host header without its port; nothing where it is more than that."""
    found = _HOST.fullmatch(host)
    return "" if found is None else (found[1] or found[2]).lower()
