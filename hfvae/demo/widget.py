"""A widget: a gr.HTML with its markup, its script and the Python functions that the script may call.

The page calls these as Gradio's server functions: they bypass the queue, appear in no API page and take one JSON value.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from .limiter import Busy
from .registry import ModelRegistry

logger = logging.getLogger(__name__)

Function = Callable[[ModelRegistry, dict[str, Any]], dict[str, Any]]
FOLDER = Path(__file__).parent
PRELUDE = """
const hf = window.hfvae;
const find = (selector) => element.querySelector(selector);
hf.init(props.models, server, element);
"""
"""What each widget's script begins with; `server.App` sends the shared scripts, which define `window.hfvae`."""


def widget(path: str, registry: ModelRegistry, functions: Sequence[Function], parts: Sequence[str] = ()) -> gr.HTML:
    """The widget of `path`.html and `path`.js, relative to this folder, which may call `functions`.

    `parts` are further scripts of its folder, which run before `path`.js and share its scope.
    """
    folder = Path(path).parent
    scripts = [*(str(folder / part) for part in parts), path]
    return gr.HTML(
        html_template=_read(f"{path}.html"),
        js_on_load=PRELUDE + "".join(_read(f"{script}.js") for script in scripts),
        server_functions=[answering(function, registry) for function in functions],
        apply_default_css=False,
        elem_id=f"{Path(path).name}-widget",
        models=registry.describe(),
        problems=registry.problems,
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


def _read(path: str) -> str:
    return (FOLDER / path).read_text(encoding="utf-8")
