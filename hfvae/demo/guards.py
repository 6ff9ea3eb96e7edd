"""What stands between a visitor and Gradio: ASGI middleware that refuses, limits and adds headers."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gradio.route_utils import CustomCORSMiddleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limiter import visitor

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
BLOCKED = re.compile(
    r"/gradio_api/(upload|upload_progress|deep_link|stream|process_recording|vibe-edit|undo-vibe-edit|vibe-code"
    r"|vibe-starter-queries|dev|run-history|runs|heartbeat|custom_component|profiling)(/|$)"
    r"|/proxy=|/monitoring(/|$)"
)
"""Gradio routes disabled for security and privacy: they store files, fetch addresses, keep streams open, write what a
visitor sends into the log, or show other visitors' data."""
STREAMS = re.compile(r"/gradio_api/(queue/data|call/(v2/)?[^/]+/[^/]+)$")
"""Routes whose answers stay open until a call has ended."""
JOINS = re.compile(r"/gradio_api/(queue/join|call/(v2/)?[^/]+)/?$")
"""Routes that put a call into the queue."""
IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
IDENTIFIERS = ("session_hash", "event_id", "fn_name", "trigger_id", "component_id", "fn_index", "api_name")
MAX_PATH = 512
MAX_STREAMS, MAX_STREAMS_PER_VISITOR = 256, 64
MAX_WAITING_PER_VISITOR = 24
"""Calls of the named endpoints that one visitor may have in the queue."""


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
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.hosts is not None:
            headers = Headers(scope=scope)
            asked, origin = headers.get("host", ""), headers.get("origin")
            if urlsplit(f"//{asked}").hostname not in self.hosts:
                detail = "this app answers to its own name only; behind a proxy, name it in GRADIO_ROOT_PATH"
                return await JSONResponse({"detail": detail}, 421)(scope, receive, send)
            if origin is not None and urlsplit(origin).hostname not in self.hosts:
                return await JSONResponse({"detail": "no other page may call this app"}, 403)(scope, receive, send)
        await self.app(scope, receive, send)


class SecurityHeaders:
    """Adds a Content-Security-Policy and its like to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        ancestors = "'self' https://huggingface.co https://*.hf.space" if os.environ.get("SPACE_ID") else "'self'"
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


class CredentiallessCORS(CustomCORSMiddleware):
    """Gradio's answers to foreign origins, without credentials: other pages may call a public app, but as nobody."""

    def __init__(self, app: ASGIApp, strict_cors: bool = True, parent_app: Any | None = None) -> None:
        super().__init__(app, strict_cors, parent_app)
        del self.preflight_headers["Access-Control-Allow-Credentials"]
        self.simple_headers = {}


class BlockedRoutes:
    """Answers 404 wherever the path matches."""

    def __init__(self, app: ASGIApp, paths: re.Pattern[str] = BLOCKED) -> None:
        self.app = app
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        blocked = scope["type"] == "http" and self.paths.search(scope["path"])
        await (JSONResponse({"detail": "Not found"}, 404) if blocked else self.app)(scope, receive, send)


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
    """Names the visitor, and lets through short paths, JSON bodies and short identifiers only.

    Gradio keeps sessions under whatever key a visitor sends, and a browser sends other types than JSON without asking.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        visitor.set((scope.get("client") or ("",))[0])
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given: list[tuple[str, Any]] = [(name, value) for name in IDENTIFIERS for value in query.get(name, [])]
        if len(scope["path"]) > MAX_PATH or len(scope["query_string"]) > 4 * MAX_PATH:
            return await _refuse("the address is too long", 414, scope, receive, send)
        if scope["method"] == "POST":
            kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return await _refuse("the body must be application/json", 415, scope, receive, send)
            body = await _read(receive)
            try:
                parsed = json.loads(body)
            except (ValueError, RecursionError):
                return await _refuse("the body is not readable as JSON", 400, scope, receive, send)
            if not isinstance(parsed, dict):
                return await _refuse("the body must be a JSON object", 422, scope, receive, send)
            given += [(name, parsed[name]) for name in IDENTIFIERS if parsed.get(name) is not None]
            receive = _replay(body, receive)
        wrong = next((name for name, value in given if not IDENTIFIER.fullmatch(str(value))), None)
        if wrong is not None:
            return await _refuse(f"{wrong} must be 1 to 64 letters, digits or _.:-", 400, scope, receive, send)
        await self.app(scope, receive, send)


class VisitorShares:
    """Bounds what one visitor may keep open or waiting, so that the others have a share, too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and JOINS.search(scope["path"]):
            if self._waiting(scope) >= MAX_WAITING_PER_VISITOR:
                return await _refuse("too many of your calls are waiting", 429, scope, receive, send)
        elif scope["type"] == "http" and STREAMS.search(scope["path"]):
            return await self._stream(scope, receive, send)
        await self.app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = visitor.get()
        if self._open[who] >= MAX_STREAMS_PER_VISITOR or self._open.total() >= MAX_STREAMS:
            return await _refuse("too many answers are being waited for", 503, scope, receive, send)
        self._open[who] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]

    @staticmethod
    def _waiting(scope: Scope) -> int:
        """How many calls the visitor has in Gradio's queue."""
        queues = scope["app"].get_blocks()._queue.event_queue_per_concurrency_id.values()
        clients = (event.request.client for queue in queues for event in queue.queue)
        return sum(client is not None and client.host == visitor.get() for client in clients)


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
