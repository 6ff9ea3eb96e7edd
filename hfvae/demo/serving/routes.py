"""Routes of the app beside Gradio's: its readiness, the figures of model cards, the page's modules and decoders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from ... import hub
from .. import page
from ..cards import FIGURE

if TYPE_CHECKING:
    from ..registry import ModelRegistry

MAX_FIGURE = 1 << 20
PORTION = 1 << 16
_PNG = b"\x89PNG\r\n\x1a\n"


def routes(registry: ModelRegistry) -> list[BaseRoute]:
    """The routes, for the application's constructor."""

    async def healthz(_: Request) -> Response:
        """200 while the app takes calls, 503 from when it is told to stop; for proxies and orchestrators."""
        state = "stopping" if registry.stopping else "ready"
        return JSONResponse({"status": state, "models": list(registry.models)}, 503 if registry.stopping else 200)

    async def figure(request: Request) -> Response:
        """A figure of a model's own folder, fetched from the hub if need be."""
        models = list(registry.models.values())
        number, name = request.path_params["number"], request.path_params["name"]
        path = f"{hub.FIGURES}/{name}.png"
        if number >= len(models) or not FIGURE.fullmatch(path):
            raise HTTPException(404)
        try:
            content = await asyncio.to_thread(lambda: models[number].source.path(path).read_bytes())
        except hub.HubError as error:
            raise HTTPException(404) from error
        if not content.startswith(_PNG) or len(content) > MAX_FIGURE:
            raise HTTPException(404)
        return Response(content, media_type="image/png", headers={"Cache-Control": "max-age=3600"})

    async def decoder(request: Request) -> Response:
        """The weights of a model's decoder, which a browser may keep as long as it likes: a digest names them."""
        models = list(registry.models.values())
        number = request.path_params["number"]
        exported = models[number].decoder if number < len(models) else None
        if exported is None or exported.digest != request.path_params["digest"]:
            raise HTTPException(404)
        headers = {"Cache-Control": "max-age=31536000, immutable", "Content-Length": str(len(exported.weights))}
        return StreamingResponse(_portions(exported.weights), 200, headers, "application/octet-stream")

    return [
        page.route(),
        Route("/healthz", healthz),
        Route("/card-figures/{number:int}/{name}.png", figure),
        Route("/decoders/{number:int}/{digest}", decoder),
    ]


async def _portions(content: bytes) -> AsyncIterator[bytes]:
    """A few kilobytes at a time, so that a visitor who does not read them fills no memory."""
    for start in range(0, len(content), PORTION):
        yield content[start : start + PORTION]
