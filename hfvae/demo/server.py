"""How the page is served: theme, guards, and the routes beside Gradio's own."""

from __future__ import annotations

import inspect
import os
from typing import Any

import gradio as gr
import gradio.routes
from starlette.middleware import Middleware

from . import guards, page
from .answers import bound_answers
from .mcp_images import show_pictures
from .registry import ModelRegistry
from .routes import routes
from .state import SharedStates

MAX_BODY = 1 << 20
"""Bytes in one request; a drawing has 27,000."""
MAX_QUEUE = 64
"""Calls of the named endpoints that may wait."""
THEME = gr.themes.Soft(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


gradio.routes.CustomCORSMiddleware = guards.CredentiallessCORS  # type: ignore[attr-defined]  # it has no setting


class App(gr.Blocks):
    """Blocks without telemetry, launched with this app's theme, scripts and limits."""

    def __init__(self, title: str, registry: ModelRegistry) -> None:
        super().__init__(title=title, analytics_enabled=False, fill_width=True)
        self.registry = registry
        self.space_id = None  # in a Space, Gradio's page would ask the hub about it, which the page's policy forbids
        self.queue(max_size=MAX_QUEUE)
        bound_answers(self._queue)

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Add the defaults of arguments that a call leaves out at its end, or refuse it in a sentence."""
        for name, parameter in list(inspect.signature(block_fn.fn).parameters.items())[len(inputs) :]:
            if parameter.default is parameter.empty:
                raise gr.Error(f"{block_fn.name} needs an argument {name}", print_exception=False)
            inputs.append(parameter.default)

    @property
    def busy(self) -> bool:
        """Whether a call runs or waits."""
        return self.registry.limiter.busy or len(self._queue) > 0 or any(self._queue.active_jobs)

    def launch(self, *positional: Any, **options: Any) -> Any:
        """Launch as any Blocks; `options` override this app's defaults."""
        host = options.get("server_name") or os.environ.get("GRADIO_SERVER_NAME")
        root_path = options.get("root_path") or os.environ.get("GRADIO_ROOT_PATH")
        hosts = None if options.get("share") else guards.hosts_of(host, root_path)
        defaults = {
            "theme": THEME,
            "i18n": page.names(),
            "footer_links": ["api", "settings"],
            "run_history": False,  # it would keep every call in the visitor's browser
            "enable_monitoring": False,
            "max_file_size": MAX_BODY,
            "app_kwargs": {
                "routes": routes(self.registry),
                "middleware": [
                    Middleware(guards.SecurityHeaders),
                    Middleware(guards.KnownHosts, hosts),
                    Middleware(guards.BlockedRoutes),
                    Middleware(guards.BodyLimit, MAX_BODY),
                    Middleware(guards.RequestRules),
                    Middleware(guards.VisitorShares),
                ],
            },
        }
        page.use_route(self)
        launched = super().launch(*positional, **{**defaults, **options})
        self.app.state_holder = SharedStates(self)
        describe = self.app.openapi
        self.app.openapi = lambda: open_routes(describe())  # type: ignore[method-assign]
        if self.mcp_server_obj is not None:
            show_pictures(self.mcp_server_obj)
        return launched


def open_routes(description: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI description without the routes that are closed."""
    paths = {path: about for path, about in description["paths"].items() if not guards.BLOCKED.search(path)}
    return {**description, "paths": paths}
