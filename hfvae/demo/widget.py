"""A widget: a gr.HTML with its markup, its script and the Python functions the script may call.

A page calls these as Gradio's server functions: they wait in no queue, appear in no API page and take one JSON value.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from .gate import Busy
from .session import Session

logger = logging.getLogger(__name__)

Function = Callable[[Session, dict[str, Any]], dict[str, Any]]
ASSETS = Path(__file__).parent / "assets"
SHARED = ("core", "decoder", "atlas")
"""Scripts that come before each widget's own; whichever widget is there first sets them up for all."""


def widget(name: str, session: Session, functions: Sequence[Function]) -> gr.HTML:
    """The widget of assets/`name`.html and assets/`name`.js, which may call `functions`."""
    return gr.HTML(
        html_template=_asset(f"{name}.html"),
        css_template=_asset("style.css"),
        js_on_load="".join(_asset(f"{script}.js") for script in (*SHARED, name)),
        server_functions=[answering(function, session) for function in functions],
        apply_default_css=False,
        elem_id=f"{name}-widget",
        models=session.describe(),
        problems=session.problems,
    )


def answering(function: Function, session: Session) -> Callable[[Any], dict[str, Any]]:
    """`function` for anyone to call: what it refuses is {error: sentence} and a line in the log, not a bare HTTP 500.

    A caller who may ask again, since the models were busy, is told so by {busy: true}.
    """

    def answer(request: Any) -> dict[str, Any]:
        try:
            if not isinstance(request, dict):
                raise ValueError("a request must be an object")
            return function(session, request)
        except Busy as error:
            logger.warning("%s: %s", function.__name__, error)
            return {"error": str(error), "busy": True}
        except (TypeError, ValueError) as error:
            logger.warning("%s refused a request: %s", function.__name__, error)
            return {"error": str(error)}

    answer.__name__ = function.__name__
    return answer


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
