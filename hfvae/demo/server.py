"""How the page is served: theme, shared scripts, blocked routes, and the largest accepted request."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1 << 20
"""Bytes in one request; a drawing has 27,000."""
MAX_QUEUE = 64
"""Calls of the named endpoints that may wait."""
BLOCKED = re.compile(
    r"/gradio_api/(upload|upload_progress|deep_link|stream|process_recording|vibe-edit|undo-vibe-edit|vibe-code"
    r"|dev|run-history|runs)(/|$)|/proxy=|/monitoring(/|$)"
)
"""Gradio routes disabled for security and privacy: they store files, fetch addresses or show other visitors' data."""
THEME = gr.themes.Soft(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


SHARED_SCRIPTS = ("core", "decoder", "atlas")
"""Scripts of shared/ that every widget needs, in this order; the page's head holds them once."""


def head() -> str:
    """What the page's head holds: the shared scripts, which run before any widget's own."""
    folder = Path(__file__).parent / "shared"
    scripts = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in SHARED_SCRIPTS)
    return f"<script>\n{scripts}</script>"


class App(gr.Blocks):
    """Blocks without telemetry, launched with this app's theme, scripts and limits."""

    def __init__(self, title: str) -> None:
        super().__init__(title=title, analytics_enabled=False)
        self.queue(max_size=MAX_QUEUE)

    def get_config_file(self) -> Any:
        """The page's configuration with the shared scripts in its head, launched or mounted in another application."""
        config = super().get_config_file()
        config["head"] = head() + (config.get("head") or "")
        return config

    def launch(self, *positional: Any, **options: Any) -> Any:
        """Launch as any Blocks; `options` override this app's defaults."""
        defaults = {
            "theme": THEME,
            "footer_links": ["api", "settings"],
            "run_history": False,  # it would keep every call in the visitor's browser
            "enable_monitoring": False,
            "max_file_size": MAX_BODY,
            "app_kwargs": {"middleware": [Middleware(BlockedRoutes, BLOCKED), Middleware(BodyLimit, MAX_BODY)]},
        }
        return super().launch(*positional, **{**defaults, **options})


class BlockedRoutes:
    """Answers 404 wherever the path matches."""

    def __init__(self, app: ASGIApp, paths: re.Pattern[str]) -> None:
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
