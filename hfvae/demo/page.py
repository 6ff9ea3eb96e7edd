"""How the page is served: its looks, what it tells nobody, and how much it takes from anybody."""

from __future__ import annotations

import contextlib
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1 << 20
"""Bytes in one request; a drawing has 27,000."""
QUEUE = 64
"""Calls of the named endpoints that may wait."""
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
            "app_kwargs": {"middleware": [Middleware(BodyLimit, MAX_BODY)]},
        }
        return super().launch(*positional, **{**defaults, **options})


class TooLarge(Exception):
    """More bytes came than are taken."""


class BodyLimit:
    """Refuses request bodies of more than `most` bytes with 413, before they are in memory."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.most:
            return await self._refuse(send)
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
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        body = f'{{"detail": "a request may have {self.most} bytes"}}'.encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
