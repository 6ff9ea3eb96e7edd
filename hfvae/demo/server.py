"""The app as Gradio knows it: Blocks with the page's theme and texts. `application` puts guards around it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .. import page
from ..registry import ModelRegistry
from .inputs import LenientBlocks
from .routes import routes

MAX_BODY = 1 << 20
"""Bytes in one request; a drawing has 27,000."""
MAX_QUEUE = 64
"""Calls of the named endpoints that may wait."""
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
TAB_NAMES = gr.I18n(**page.strings())
"""What Gradio itself shows of the page's texts: names of tabs and of the model card."""


class App(LenientBlocks):
    """Blocks without telemetry. `launch` serves them as Gradio serves any, `serving.serve` with guards."""

    def __init__(self, title: str, registry: ModelRegistry) -> None:
        super().__init__(title=title, analytics_enabled=False, fill_width=True)
        self.registry = registry
        self.i18n_instance = TAB_NAMES
        self.space_id = None  # in a Space, Gradio's page would ask the hub about it, which the page's policy forbids
        self.queue(max_size=MAX_QUEUE)

    def launch(self, *positional: Any, **options: Any) -> Any:
        """Launch as any Blocks, without the limits of `serving`; `options` override this app's defaults."""
        given = {"i18n": TAB_NAMES, **PAGE, **options}
        own = given.pop("app_kwargs", None) or {}
        with_routes = {**own, "routes": [*routes(self.registry), *own.get("routes", [])]}
        page.use_route(self)
        return super().launch(*positional, app_kwargs=with_routes, **given)
