"""The app as Gradio knows it: Blocks with the page's scripts, texts and theme. `serving` puts guards around it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from .registry import ModelRegistry
from .serving.application import PAGE
from .serving.blocks import ModelBlocks
from .serving.routes import routes

MAX_QUEUE = 64
"""Calls of the named endpoints that may wait."""

SHARED_SCRIPTS = ("text", "link", "pictures", "strokes", "float16", "program", "decoder", "atlas")
"""Scripts of shared/ that every widget needs beside core.js, in this order; the page's head holds them once."""
WORKER_SCRIPTS = ("float16", "program", "worker")
"""Scripts of shared/ that the decoder's worker consists of."""


def head() -> str:
    """What the page's head holds: styles, texts, the worker's script as a text, and the shared scripts.

    These run before any widget's own. Gradio would put its own selectors before those of styles given to `launch`.
    """
    worker = f"window.hfvae.workerSource = {json.dumps(_scripts(WORKER_SCRIPTS))};\n"
    texts = f"window.hfvae.strings = {json.dumps(strings())};\n"
    style = (Path(__file__).parent / "shared" / "style.css").read_text(encoding="utf-8")
    return f"<style>\n{style}</style><script>\n{_scripts(['core'])}{texts}{worker}{_scripts(SHARED_SCRIPTS)}</script>"


@cache
def strings() -> dict[str, dict[str, str]]:
    """The page's texts: language -> key -> text, one file of strings/ a language."""
    folder = Path(__file__).parent / "strings"
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def _scripts(names: Sequence[str]) -> str:
    folder = Path(__file__).parent / "shared"
    return "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in names)


TAB_NAMES = gr.I18n(**strings())
"""What Gradio itself shows of the page's texts: names of tabs and of the model card."""


class App(ModelBlocks):
    """Blocks without telemetry. `launch` serves them as Gradio serves any, `serving.serve` with guards."""

    def __init__(self, title: str, registry: ModelRegistry) -> None:
        super().__init__(title=title, analytics_enabled=False, fill_width=True)
        self.registry = registry
        self.i18n_instance = TAB_NAMES
        self.space_id = None  # in a Space, Gradio's page would ask the hub about it, which the page's policy forbids
        self.queue(max_size=MAX_QUEUE)

    def get_config_file(self) -> Any:
        """The page's configuration with the shared scripts in its head, launched or mounted in another application."""
        config = super().get_config_file()
        config["head"] = head() + (config.get("head") or "")
        return config

    def launch(self, *positional: Any, **options: Any) -> Any:
        """Launch as any Blocks, without the limits of `serving`; `options` override this app's defaults."""
        given = {"i18n": TAB_NAMES, **PAGE, **options}
        own = given.pop("app_kwargs", None) or {}
        with_routes = {**own, "routes": [*routes(self.registry), *own.get("routes", [])]}
        return super().launch(*positional, app_kwargs=with_routes, **given)
