"""The ASGI application: Gradio's page and endpoints, mounted behind this app's own middleware and routes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from .. import page
from . import mcp as tools
from . import middleware
from .blocks import ModelBlocks
from .calls import Calls
from .routes import routes

MAX_BODY = 1 << 20
"""Bytes in one request; a drawing has 27,000."""
MAX_SESSIONS = 16
"""Sessions of the named endpoints of which Gradio keeps the last answer, a megabyte each."""
PAGE: dict[str, Any] = {
    "theme": gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ),
    "footer_links": ["api", "settings"],
    "run_history": False,  # it would keep every call in the visitor's browser
    "enable_monitoring": False,
    "max_file_size": MAX_BODY,
}
"""What Gradio is told about the page, mounted or launched."""


def application(
    demo: ModelBlocks,
    *,
    hosts: Collection[str] | None = None,
    allow_origins: Sequence[str] = (),
    forwarded: bool = True,
    root_path: str | None = None,
    mcp: bool | None = None,
    local_url: str | None = None,
    **options: Any,
) -> FastAPI:
    """The app as one ASGI application, to be run by uvicorn or mounted in another application (`mount`).

    Args:
        demo: what `build_demo` returned.
        hosts: the names under which it may be asked for; None takes any.
        allow_origins: origins of pages that may call the app and show it in a frame.
        forwarded: whether the X-Forwarded headers that arrive are a trusted proxy's.
        root_path: the path or full address under which a proxy shows the app.
        mcp: whether to offer the named endpoints as tools for language models; None lets $GRADIO_MCP_SERVER decide.
        local_url: the address at which the server that runs the application reaches it, which `mcp` needs.
        options: of `gr.mount_gradio_app`, such as `auth` or `auth_dependency`.

    Raises:
        ValueError: `mcp` without `local_url`.
    """
    if mcp is None:
        mcp = os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true"
    if mcp and not local_url:
        raise ValueError("tools for language models need local_url, the address at which the server reaches itself")
    login = options.get("auth") is not None
    calls = Calls(demo)
    demo.state_session_capacity = MAX_SESSIONS
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        routes=routes(demo.registry),
        middleware=[
            Middleware(middleware.SecurityHeaders, allow_origins),
            *([] if forwarded else [Middleware(middleware.NoForwarding)]),
            Middleware(middleware.KnownHosts, hosts, allow_origins),
            Middleware(CORSMiddleware, allow_origins=allow_origins, allow_methods=["*"], allow_headers=["*"]),
            Middleware(middleware.VisitorShares, calls),
            Middleware(middleware.BodyLimit, MAX_BODY),
            Middleware(middleware.RequestRules, login),
        ],
    )
    app.state.calls = calls
    open_routes = Middleware(middleware.OpenRoutes, login, mcp)
    page.use_route(demo)
    given = {**PAGE, "ssr_mode": False, "root_path": root_path, "mcp_server": mcp, **options}
    gr.mount_gradio_app(app, demo, "/", app_kwargs={"middleware": [open_routes]}, **given)
    if mcp and local_url:
        tools.prepare(demo.mcp_server_obj, local_url)
    return app


def mount(app: FastAPI, demo: ModelBlocks, path: str, **options: Any) -> FastAPI:
    """Put the app under a path of another application.

    Args:
        app: the other application, not yet started.
        demo: what `build_demo` returned.
        path: where the app is found, such as "/vae".
        options: of `application`.

    Returns:
        The other application.
    """
    mounted = application(demo, **options)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with mounted.router.lifespan_context(mounted):
            yield

    app.include_router(APIRouter(lifespan=lifespan))  # Starlette starts and stops no mounted application
    app.mount(path, mounted)
    return app
