"""How the page is served: its looks, what it tells nobody, and how much it takes from anybody."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1 << 20
"""Bytes in one request; a drawing has 27,000."""
QUEUE = 64
"""Calls of the named endpoints that may wait."""
CLOSED = re.compile(
    r"/gradio_api/(upload|upload_progress|deep_link|stream|process_recording|vibe-edit|undo-vibe-edit|vibe-code"
    r"|dev|run-history|runs)(/|$)|/proxy=|/monitoring(/|$)"
)
"""Gradio's routes that this app needs not, and that keep files, fetch addresses or tell of other visitors."""
THEME = gr.themes.Soft(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


class Page(gr.Blocks):
    """Blocks that asks no other machine for anything, and is launched with the defaults it was made for."""

    def __init__(self, title: str) -> None:
        super().__init__(title=title, analytics_enabled=False)
        self.queue(max_size=QUEUE)

    def launch(self, *positional: Any, **options: Any) -> Any:
        """Launch as any Blocks; `options` come before our defaults."""
        defaults = {
            "theme": THEME,
            "footer_links": ["api", "settings"],
            "run_history": False,  # it would keep every call in the visitor's browser
            "enable_monitoring": False,
            "max_file_size": MAX_BODY,
            "app_kwargs": {"middleware": [Middleware(Closed, CLOSED), Middleware(BodyLimit, MAX_BODY)]},
        }
        return super().launch(*positional, **{**defaults, **options})


class Closed:
    """Answers 404 wherever the path matches."""

    def __init__(self, app: ASGIApp, paths: re.Pattern[str]) -> None:
        self.app = app
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closed = scope["type"] == "http" and self.paths.search(scope["path"])
        await (JSONResponse({"detail": "Not found"}, 404) if closed else self.app)(scope, receive, send)


class TooLarge(Exception):
    """More bytes came than are taken."""


class BodyLimit:
    """Refuses request bodies of more than `most` bytes with 413, before they are in memory."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most
        said = {"detail": f"a request may have {most} bytes"}
        self._refusal = JSONResponse(said, 413, headers={"Connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.most:
            return await self._refusal(scope, receive, send)
        received = 0
        exceeded = started = False

        async def counted() -> Message:
            nonlocal received, exceeded
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.most:
                exceeded = True
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            if not exceeded:  # else it is the app's own complaint about the body
                started = True
                await send(message)

        with contextlib.suppress(TooLarge):
            await self.app(scope, counted, noted)
        if exceeded and not started:
            await self._refusal(scope, receive, send)
