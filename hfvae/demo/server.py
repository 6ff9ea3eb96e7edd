"""The app as Gradio knows it: Blocks with the page's texts and theme. `serving` puts guards around it."""

from __future__ import annotations

from typing import Any

from . import page
from .registry import ModelRegistry
from .serving.application import PAGE
from .serving.blocks import ModelBlocks
from .serving.routes import routes

MAX_QUEUE = 64
"""Calls of the named endpoints that may wait."""


class App(ModelBlocks):
    """Blocks without telemetry. `launch` serves them as Gradio serves any, `serving.serve` with guards."""

    def __init__(self, title: str, registry: ModelRegistry) -> None:
        super().__init__(title=title, analytics_enabled=False, fill_width=True)
        self.registry = registry
        self.i18n_instance = page.names()
        self.space_id = None  # in a Space, Gradio's page would ask the hub about it, which the page's policy forbids
        self.queue(max_size=MAX_QUEUE)

    def launch(self, *positional: Any, **options: Any) -> Any:
        """Launch as any Blocks, without the limits of `serving`; `options` override this app's defaults."""
        given = {"i18n": page.names(), **PAGE, **options}
        own = given.pop("app_kwargs", None) or {}
        with_routes = {**own, "routes": [*routes(self.registry), *own.get("routes", [])]}
        page.use_route(self)
        return super().launch(*positional, app_kwargs=with_routes, **given)
