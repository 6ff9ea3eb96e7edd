"""A widget: a gr.HTML with its markup, its module (see `page`) and the Python functions that the module may call.

The page calls these as Gradio's server functions: they bypass the queue, appear in no API page and take one JSON value.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from . import page
from .limiter import Busy
from .registry import ModelRegistry

logger = logging.getLogger(__name__)

Function = Callable[[ModelRegistry, dict[str, Any]], dict[str, Any]]
FOLDER = Path(__file__).parent
START = """
const address = element.closest("gradio-app[src]")?.getAttribute("src").replace(/[/]*$/, "/") ?? "";
const app = new URL(address, document.baseURI).href;
const modules = new URL(props.modules + "/", app);
for (const path of props.preloaded) {
  const href = new URL(path, modules).href;
  document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href }));
}
import(new URL("{path}.js", modules)).then((module) => module.default(element, props, server, app));
"""
"""What Gradio runs for a widget: it calls the default export of its module. The page's own address is the app's, unless
the app is embedded in a foreign page."""


def widget(path: str, registry: ModelRegistry, functions: Sequence[Function], first: bool = False) -> gr.HTML:
    """The widget of `path`.html and `path`.js, relative to this folder, which may call `functions`.

    The `first` one of a page brings the styles, and lets the browser fetch all modules at once.
    """
    return gr.HTML(
        html_template=(FOLDER / f"{path}.html").read_text(encoding="utf-8"),
        js_on_load=START.replace("{path}", path),
        head=page.style() if first else None,
        server_functions=[answering(function, registry) for function in functions],
        apply_default_css=False,
        elem_id=f"{Path(path).name}-widget",
        models=registry.describe(),
        problems=registry.problems,
        modules=page.copied(),
        routed=False,
        preloaded=page.modules() if first else [],
        languages=list(page.strings()),
    )


def answering(function: Function, registry: ModelRegistry) -> Callable[[Any], dict[str, Any]]:
    """`function` as an open endpoint: a refusal is {error: sentence} and a line in the log, instead of a bare HTTP 500.

    A caller who may ask again, since the models were busy, is told so by {busy: true}.
    """

    def answer(request: Any) -> dict[str, Any]:
        try:
            if not isinstance(request, dict):
                raise ValueError("a request must be an object")
            return function(registry, request)
        except Busy as error:
            logger.warning("%s: %s", function.__name__, error)
            return {"error": str(error), "busy": True}
        except (TypeError, ValueError) as error:
            logger.warning("%s refused a request: %s", function.__name__, error)
            return {"error": str(error)}

    answer.__name__ = function.__name__
    return answer
