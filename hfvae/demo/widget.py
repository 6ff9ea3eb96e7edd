"""A widget: a gr.HTML with its markup, its script and the Python functions the script may call."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from .session import Session

logger = logging.getLogger(__name__)
ASSETS = Path(__file__).parent / "assets"


def widget(name: str, session: Session, functions: list[Callable[[Any], dict[str, Any]]] | None = None) -> gr.HTML:
    """The widget of assets/`name`.html and assets/`name`.js; `functions` take one JSON value and return a dict."""
    return gr.HTML(
        html_template=_asset(f"{name}.html"),
        css_template=_asset("style.css"),
        js_on_load=_asset("core.js") + _asset(f"{name}.js"),
        server_functions=[answering(function) for function in functions or []],
        apply_default_css=False,
        elem_id=f"{name}-widget",
        models=session.describe(),
        problems=session.problems,
    )


def answering(function: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """`function`, but bad input comes back as {error: sentence} and goes to the log, where Gradio would say nothing."""

    @functools.wraps(function)
    def answer(request: Any) -> dict[str, Any]:
        try:
            return function(request)
        except (TypeError, ValueError) as error:
            logger.warning("%s refused a request: %s", function.__name__, error)
            return {"error": str(error)}

    return answer


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
