"""ASGI middleware: which requests are answered, how much of one visitor's, and with which headers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..limiter import visitor

if TYPE_CHECKING:
    from .calls import Calls

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
OPEN = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)|/(assets|static)/.+"
    r"|/gradio_api/(info|component_server|cancel|queue/(join|data)|call/(v2/)?[^/]+(/[^/]+)?)/?"
)
"""Gradio's routes that the page and clients need. Others store files, fetch addresses, keep streams open, write what a
visitor sends into the log, or show other visitors' data; those of a future release are closed until they stand here."""
LOGIN = re.compile(r"/(login|logout)/?")
MCP = re.compile(r"/gradio_api/mcp(/.*)?")
STREAMS = re.compile(r"/gradio_api/(queue/data|call/(v2/)?[^/]+/[^/]+)$")
"""Routes whose answers stay open until a call has ended."""
JOINS = re.compile(r"/gradio_api/(queue/join|call/(v2/)?[^/]+)/?$")
"""Routes that put a call into the queue."""
PAGE_CALLS = re.compile(r"/gradio_api/component_server/?$")
"""The route of the page's own calls."""
IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
IDENTIFIERS = ("session_hash", "event_id", "fn_name", "trigger_id", "component_id", "fn_index", "api_name")
MAX_PATH = 512
MAX_REQUESTS_PER_VISITOR = 128
"""Requests of one visitor that may be answered at once."""
MAX_STREAMS, MAX_STREAMS_PER_VISITOR = 256, 64
MAX_WAITING_PER_VISITOR = 24
"""Calls of the named endpoints that one visitor may have in the queue."""
BODY_TIMEOUT = 20.0
"""Seconds in which a body has to arrive."""


def hosts_of(host: str | None, root_path: str | None) -> frozenset[str] | None:
    """The names under which a local app may be asked for; None if it listens to other machines, under any name.

    Args:
        host: the address that it listens on.
        root_path: the path or full address under which a proxy shows it.
    """
    if (host or "127.0.0.1") not in LOCAL_HOSTS or os.environ.get("SPACE_ID"):
        return None
    public = urlsplit(root_path or "").hostname
    return LOCAL_HOSTS | ({public} if public else set())


class KnownHosts:
    """Refuses a local app's requests under foreign names (DNS rebinding) and from foreign pages.

    Args:
        app: the application behind.
        hosts: the known names; None takes any.
        origins: other pages that may call it.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, origins: Collection[str] = ()) -> None:
        self.app = app
        self.hosts = hosts
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.hosts is not None:
            headers = Headers(scope=scope)
            asked, origin = headers.get("host", ""), headers.get("origin")
            foreign = origin is not None and urlsplit(origin).hostname not in self.hosts
            if urlsplit(f"//{asked}").hostname not in self.hosts:
                detail = "this app answers to its own name only; behind a proxy, name it in GRADIO_ROOT_PATH"
                return await _refuse(detail, 421, scope, receive, send)
            if foreign and origin not in self.origins:
                return await _refuse("no other page may call this app", 403, scope, receive, send)
        await self.app(scope, receive, send)


class SecurityHeaders:
    """Adds a Content-Security-Policy and its like to every answer.

    Args:
        app: the application behind.
        origins: other pages that may show the app in a frame.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self.app = app
        spaces = ("https://huggingface.co", "https://*.hf.space") if os.environ.get("SPACE_ID") else ()
        ancestors = " ".join(("'self'", *spaces, *origins))
        self.headers = {
            # Gradio's page has inline scripts and styles, and makes functions of the widgets' scripts
            "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
            "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
            "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
            f"frame-ancestors {ancestors}",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class NoForwarding:
    """Drops the headers by which a proxy tells the address that a visitor asked for; Gradio would believe anybody's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            told = (b"x-forwarded-", b"forwarded", b"x-gradio-server")
            kept = [(name, value) for name, value in scope["headers"] if not name.startswith(told)]
            scope = {**scope, "headers": kept}
        await self.app(scope, receive, send)


class OpenRoutes:
    """Answers 404 for all of Gradio's routes but those that are listed; it stands inside Gradio's application.

    Args:
        app: the application behind.
        login: whether there is a login.
        mcp: whether there is an MCP server.
    """

    def __init__(self, app: ASGIApp, login: bool = False, mcp: bool = False) -> None:
        self.app = app
        self.routes = [OPEN, *([LOGIN] if login else []), *([MCP] if mcp else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
            if not any(route.fullmatch(path) for route in self.routes):
                return await _refuse("Not found", 404, scope, receive, send)
        await self.app(scope, receive, send)


class TooLarge(Exception):
    """A request body exceeds the limit."""


class BodyLimit:
    """Answers 413 to request bodies of more than `max_bytes` bytes, before they are in memory."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes
        detail = {"detail": f"a request may have {max_bytes} bytes"}
        self._refusal = JSONResponse(detail, 413, headers={"Connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.max_bytes:
            return await self._refusal(scope, receive, send)
        received = 0
        exceeded = started = False

        async def counting_receive() -> Message:
            nonlocal received, exceeded
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                exceeded = True
                raise TooLarge
            return message

        async def watching_send(message: Message) -> None:
            nonlocal started
            if not exceeded:  # else it is the app's own error about the cut-off body
                started = True
                await send(message)

        with contextlib.suppress(TooLarge):
            await self.app(scope, counting_receive, watching_send)
        if exceeded and not started:
            await self._refusal(scope, receive, send)


class RequestRules:
    """Lets through short paths, JSON bodies and short identifiers only.

    Gradio keeps sessions under whatever key a visitor sends, and a browser sends other types than JSON without asking.
    All calls of the page are put into one session: the page keeps its state itself, and a session takes Gradio 5 ms.

    Args:
        app: the application behind.
        login: whether there is a login, whose form is not JSON.
    """

    def __init__(self, app: ASGIApp, login: bool = False) -> None:
        self.app = app
        self.login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given: list[tuple[str, Any]] = [(name, value) for name in IDENTIFIERS for value in query.get(name, [])]
        if len(scope["path"]) > MAX_PATH or len(scope["query_string"]) > 4 * MAX_PATH:
            return await _refuse("the address is too long", 414, scope, receive, send)
        if scope["method"] == "POST" and not (self.login and scope["path"].rstrip("/").endswith("/login")):
            try:
                body, parsed = await self._json(scope, receive)
            except _Refusal as refusal:
                return await _refuse(str(refusal), refusal.status, scope, receive, send)
            given += [(name, parsed[name]) for name in IDENTIFIERS if parsed.get(name) is not None]
            if PAGE_CALLS.search(scope["path"]):
                body = json.dumps({**parsed, "session_hash": "page"}).encode() if "session_hash" in parsed else body
            receive = _replay(body, receive)
        wrong = next((name for name, value in given if not IDENTIFIER.fullmatch(str(value))), None)
        if wrong is not None:
            return await _refuse(f"{wrong} must be 1 to 64 letters, digits or _.:-", 400, scope, receive, send)
        await self.app(scope, receive, send)

    @staticmethod
    async def _json(scope: Scope, receive: Receive) -> tuple[bytes, dict[str, Any]]:
        """The body, and the JSON object that it is."""
        kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise _Refusal("the body must be application/json", 415)
        try:
            body = await asyncio.wait_for(_read(receive), BODY_TIMEOUT)
            parsed = json.loads(body)
        except asyncio.TimeoutError as error:
            raise _Refusal("the body did not arrive in time", 408) from error
        except (ValueError, RecursionError) as error:
            raise _Refusal("the body is not readable as JSON", 400) from error
        if not isinstance(parsed, dict):
            raise _Refusal("the body must be a JSON object", 422)
        return body, parsed


class VisitorShares:
    """Names the visitor, and bounds what one may keep open or waiting, so that the others have a share, too.

    Args:
        app: the application behind.
        calls: those of the named endpoints.
    """

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self.app = app
        self.calls = calls
        self._open: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        who = (scope.get("client") or ("",))[0]
        visitor.set(who)
        opened = [self._open]
        if self._open[who] >= MAX_REQUESTS_PER_VISITOR:
            return await _refuse("too many open requests; try again shortly", 503, scope, receive, send)
        if STREAMS.search(scope["path"]):
            if self._streams[who] >= MAX_STREAMS_PER_VISITOR or self._streams.total() >= MAX_STREAMS:
                return await _refuse("too many open streams; try again shortly", 503, scope, receive, send)
            opened.append(self._streams)
        elif self._joins(scope) and self.calls.waiting(who) >= MAX_WAITING_PER_VISITOR:
            return await _refuse("too many of your calls are waiting", 429, scope, receive, send)
        for counter in opened:
            counter[who] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            for counter in opened:
                counter[who] -= 1
                if not counter[who]:
                    del counter[who]

    @staticmethod
    def _joins(scope: Scope) -> bool:
        return scope["method"] == "POST" and JOINS.search(scope["path"]) is not None


class _Refusal(Exception):
    """Why a request is not let through, and the status of the answer."""

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.status = status


async def _refuse(detail: str, status: int, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"detail": detail}, status)(scope, receive, send)


async def _read(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body again, then what follows it: the visitor's leaving."""
    given = False

    async def replaying() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying
